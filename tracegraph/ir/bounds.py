"""What bounds of the symbols decide about sizes: asked for all sizes at once, never guarded."""

from __future__ import annotations

from collections.abc import Callable

from tracegraph.ir.dim import Atom, Dim, SymExpr

#: the least and the greatest value; None where there is none
Bounds = tuple[int | None, int | None]


def at_most(a: Dim, b: Dim) -> bool:
    """Whether a <= b provably holds for all sizes; asks nothing, guards nothing."""
    difference = a - b
    if isinstance(difference, SymExpr):
        return bounds_decide("<=", difference, lambda _: (0, None)) is True
    return difference <= 0


def bounds_decide(relation: str, difference: SymExpr, bound: Callable[[str], tuple[int, int | None]]) -> bool | None:
    """Decide `difference relation 0` from bounds of the symbols alone, or None."""
    low, high = _tightened(difference, bound)
    if relation == "==":
        return False if (low is not None and low > 0) or (high is not None and high < 0) else None
    if relation == "<":
        return True if high is not None and high < 0 else False if low is not None and low >= 0 else None
    return True if high is not None and high <= 0 else False if low is not None and low > 0 else None


#: how many minima and maxima of one size are looked into at a time: all of many would take exponentially long
_LOOKED_INTO = 2


def _tightened(dim: SymExpr, bound: Callable[[str], tuple[int, int | None]], depth: int = _LOOKED_INTO) -> Bounds:
    """Bounds, in which a minimum or maximum counts for the one of its operands that says more:
    min(s0, 4) - s0 <= s0 - s0.
    """
    low, high = _bounds(dim, bound)
    for monomial, coefficient in dim.terms if depth else ():
        if len(monomial) != 1 or monomial[0].fn not in ("min", "max"):
            continue
        rest = dim - SymExpr({monomial: coefficient})
        chosen = [rest + coefficient * operand for operand in monomial[0].args]  # type: ignore[operator]
        bounds = [_tightened(c, bound, depth - 1) if isinstance(c, SymExpr) else (c, c) for c in chosen]
        if (monomial[0].fn == "min") is (coefficient > 0):
            high = min((h for h in (high, *(h for _, h in bounds)) if h is not None), default=None)
        else:
            low = max((x for x in (low, *(x for x, _ in bounds)) if x is not None), default=None)
    return low, high


def _bounds(dim: object, bound: Callable[[str], tuple[int, int | None]]) -> Bounds:
    if not isinstance(dim, SymExpr):
        return dim, dim  # type: ignore[return-value]
    low: int | None = 0
    high: int | None = 0
    for monomial, coefficient in dim.terms:
        lo: int | None = 1
        hi: int | None = 1
        for atom in monomial:
            alo, ahi = _atom_bounds(atom, bound)
            if alo is None or alo < 0:
                return None, None
            lo = lo * alo if lo is not None else None
            hi = hi * ahi if hi is not None and ahi is not None else None
        if coefficient < 0:
            lo, hi = hi, lo
        low = low + coefficient * lo if low is not None and lo is not None else None
        high = high + coefficient * hi if high is not None and hi is not None else None
    return low, high


def _atom_bounds(atom: Atom, bound: Callable[[str], tuple[int, int | None]]) -> Bounds:
    if atom.fn == "sym":
        return bound(str(atom.args[0]))
    (alo, ahi), (blo, bhi) = (_bounds(x, bound) for x in atom.args)
    if atom.fn == "floordiv" and alo is not None and alo >= 0 and blo is not None and blo > 0:
        return (alo // bhi if bhi is not None else 0), (ahi // blo if ahi is not None else None)
    if atom.fn == "mod" and blo is not None and blo > 0:
        return 0, (bhi - 1 if bhi is not None else None)
    if atom.fn == "min" and alo is not None and blo is not None:
        highs = [h for h in (ahi, bhi) if h is not None]
        return min(alo, blo), (min(highs) if highs else None)
    if atom.fn == "max":
        lows = [x for x in (alo, blo) if x is not None]
        return (max(lows) if lows else None), (max(ahi, bhi) if ahi is not None and bhi is not None else None)
    return None, None
