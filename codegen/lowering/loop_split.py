"""Splitting loops so that positions become linear: digits instead of divisions.

    for i < 192 { x[i // 64 * 65536 + i // 16 % 4 * 1024 + i % 16] }
    -->
    for a < 3 { for b < 4 { for c < 16 { x[65536*a + 1024*b + c] } } }      i = 64*a + 16*b + c

Reshapes of permuted arrays ask for it, and windows that lie side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, SymExpr
from tracegraph.ir.index_math import linear, simplify


@dataclass(frozen=True)
class Loop:
    """A loop of a kernel by the symbol of its variable."""

    name: str
    extent: Dim


@dataclass(frozen=True)
class Split:
    """Loops in place of others; `binding` gives the old variables in terms of the new ones."""

    loops: dict[str, tuple[Loop, ...]]
    binding: dict[str, Dim]

    def of(self, loop: Loop) -> tuple[Loop, ...]:
        """The loops that stand for `loop`, outermost first."""
        return self.loops.get(loop.name, (loop,))


def split_loops(ranges: Mapping[str, Dim], positions: Sequence[Dim]) -> Split:
    """Split where that makes positions linear in the loop variables, of which `ranges` are the extents."""
    tangled = [p for p in positions if linear(p, ranges) is None]
    found: dict[str, set[int]] = {}
    for position in tangled:
        for name, divisor in _divisors(position):
            if name in ranges:
                found.setdefault(name, set()).add(divisor)
    loops = {name: digits for name, d in found.items() if (digits := _digits(name, ranges[name], sorted(d)))}
    binding = {name: _recomposed(digits) for name, digits in loops.items()}
    new = {loop.name: loop.extent for digits in loops.values() for loop in digits}
    new |= {name: extent for name, extent in ranges.items() if name not in loops}
    straight = [p for p in tangled if linear(simplify(dims.evaluate(p, binding), new), new) is not None]
    return Split(loops, binding) if straight else Split({}, {})


def tangled_variables(positions: Iterable[Dim], variables: Iterable[str]) -> set[str]:
    """The variables that stand inside divisions of positions."""
    wanted = set(variables)
    return {
        name
        for position in positions
        if isinstance(position, SymExpr) and linear(position, wanted) is None
        for monomial, _ in position.terms
        for atom in monomial
        if atom.fn != "sym"
        for name in dims.symbols(SymExpr({(atom,): 1})) & wanted
    }


def _divisors(position: object) -> Iterator[tuple[str, int]]:
    """By what variables are divided inside a position: (x // 16) % 4 divides x by 16 and by 64."""
    if not isinstance(position, SymExpr):
        return
    for monomial, _ in position.terms:
        for atom in monomial:
            if atom.fn not in ("floordiv", "mod"):
                continue
            inside, divisor = atom.args
            if not isinstance(divisor, int):
                continue
            for name, factor in _factors(inside, Fraction(1)):
                count = divisor / factor
                if count.denominator == 1 and count > 1:
                    yield name, int(count)
            yield from _divisors(inside)


def _factors(position: object, scale: Fraction) -> Iterator[tuple[str, Fraction]]:
    """The variables in a position and how fast it moves with them, seen through divisions."""
    if not isinstance(position, SymExpr):
        return
    for monomial, coefficient in position.terms:
        if len(monomial) != 1 or coefficient <= 0:
            continue
        (atom,) = monomial
        if atom.fn == "sym":
            yield str(atom.args[0]), scale * coefficient
        elif atom.fn in ("floordiv", "mod") and isinstance(atom.args[1], int):
            divisor = atom.args[1] if atom.fn == "floordiv" else 1
            yield from _factors(atom.args[0], scale * coefficient / divisor)


def _digits(name: str, extent: Dim, divisors: Sequence[int]) -> tuple[Loop, ...]:
    """The loops over the digits of a variable; none if a divisor does not divide the next."""
    bounds: list[Dim] = [1, *(d for d in divisors if not dims.same(d, extent)), extent]
    if len(bounds) == 2 or any(not dims.same(dims.mod(b, a), 0) for a, b in pairwise(bounds)):
        return ()
    sizes = [dims.floordiv(b, a) for a, b in pairwise(bounds)]
    return tuple(Loop(f"{name}_{n}", size) for n, size in enumerate(reversed(sizes)))


def _recomposed(digits: Sequence[Loop]) -> Dim:
    """The variable that digits make up."""
    total: Dim = 0
    for digit in digits:
        total = total * digit.extent + dims.sym(digit.name)
    return total
