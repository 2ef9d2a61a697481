"""Symbolic sizes: canonical integer expressions over size symbols.

A `Dim` is a Python int or a `SymExpr`. A `SymExpr` is a polynomial with integer coefficients over atoms, where an
atom is a symbol or a floor division, modulo, minimum or maximum of expressions. Construction canonicalises, so two
expressions that simplify to the same polynomial are equal and hash alike.

`==` on expressions, `<`, `bool(...)` and their kin answer questions about *every* value the symbols may take; where
facts do not decide, the active `ShapeEnv` (see shape_env) decides by the example sizes and records a guard. So
user code such as `if x.shape[0] > 1` and shape inference alike may compare sizes as if they were ints. Use
`same(a, b)` for structural identity, which never guards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any, Final, TypeAlias

from tracegraph.errors import UndecidableError
from tracegraph.settings import ThreadStack

Dim: TypeAlias = "int | SymExpr"

# A monomial is a sorted tuple of atoms (with repetition for powers); the empty one is the constant term.
Monomial = tuple["Atom", ...]


class Atom:
    """An indivisible factor: a symbol, or `fn(a, b)` for fn in floordiv, mod, min, max."""

    __slots__ = ("args", "fn", "key")

    def __init__(self, fn: str, args: tuple[object, ...]) -> None:
        self.fn = fn
        self.args = args
        self.key: Final = f"{args[0]}" if fn == "sym" else f"{fn}({', '.join(map(_text, args))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __lt__(self, other: Atom) -> bool:
        return (len(self.key), self.key) < (len(other.key), other.key)

    def __repr__(self) -> str:
        return self.key


class SymExpr:
    """A canonical non-constant integer expression; build it from `sym(name)` by arithmetic."""

    __slots__ = ("_terms",)

    def __init__(self, terms: dict[Monomial, int]) -> None:
        self._terms = tuple(terms.items()) if len(terms) == 1 else tuple(sorted(terms.items(), key=_order))

    @property
    def terms(self) -> tuple[tuple[Monomial, int], ...]:
        """(monomial, coefficient) pairs, highest degree first."""
        return self._terms

    def __hash__(self) -> int:
        return hash(self._terms)

    def __repr__(self) -> str:
        return _text(self)

    def __add__(self, other: object) -> int | SymExpr:
        return _combine(self, other, 1)

    __radd__ = __add__

    def __neg__(self) -> int | SymExpr:
        return _from_terms({m: -c for m, c in self._terms})

    def __sub__(self, other: object) -> int | SymExpr:
        return _combine(self, other, -1)

    def __rsub__(self, other: int) -> int | SymExpr:
        return _combine(-self, other, 1)

    def __mul__(self, other: object) -> int | SymExpr:
        terms = _terms_of(other)
        if terms is None:
            return NotImplemented
        product: dict[Monomial, int] = {}
        for m1, c1 in self._terms:
            for m2, c2 in terms.items():
                m = tuple(sorted(m1 + m2))
                product[m] = product.get(m, 0) + c1 * c2
        return _from_terms(product)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> int | SymExpr:
        if not isinstance(exponent, int) or exponent < 0:
            return NotImplemented
        result: int | SymExpr = 1
        for _ in range(exponent):
            result = result * self
        return result

    def __floordiv__(self, other: object) -> int | SymExpr:
        return floordiv(self, other) if _is_dim(other) else NotImplemented

    def __rfloordiv__(self, other: object) -> int | SymExpr:
        return floordiv(other, self) if _is_dim(other) else NotImplemented

    def __mod__(self, other: object) -> int | SymExpr:
        return mod(self, other) if _is_dim(other) else NotImplemented

    def __rmod__(self, other: object) -> int | SymExpr:
        return mod(other, self) if _is_dim(other) else NotImplemented

    def __divmod__(self, other: object) -> tuple[int | SymExpr, int | SymExpr]:
        return self // other, self % other

    def __eq__(self, other: object) -> bool:
        if not _is_dim(other):
            return NotImplemented
        return decide("==", self, other)

    def __ne__(self, other: object) -> bool:
        if not _is_dim(other):
            return NotImplemented
        return not decide("==", self, other)

    def __lt__(self, other: object) -> bool:
        return decide("<", self, other) if _is_dim(other) else NotImplemented

    def __le__(self, other: object) -> bool:
        return decide("<=", self, other) if _is_dim(other) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return decide("<", other, self) if _is_dim(other) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return decide("<=", other, self) if _is_dim(other) else NotImplemented

    def __bool__(self) -> bool:
        return not decide("==", self, 0)

    def __int__(self) -> int:
        return specialise(self)

    __index__ = __int__

    def __float__(self) -> float:
        return float(specialise(self))

    def __truediv__(self, other: object) -> float:
        return float(self) / float(other) if isinstance(other, int | float | SymExpr) else NotImplemented

    def __rtruediv__(self, other: object) -> float:
        return float(other) / float(self) if isinstance(other, int | float) else NotImplemented

    def __abs__(self) -> int | SymExpr:
        return self if self >= 0 else -self


def sym(name: str) -> SymExpr:
    """The size symbol `name`, for example `s0`."""
    return SymExpr({(Atom("sym", (name,)),): 1})


def is_static(dim: object) -> bool:
    """Whether `dim` is a plain number."""
    return not isinstance(dim, SymExpr)


def same(a: object, b: object) -> bool:
    """Structural identity of two dims; never consults facts, never guards."""
    if a is b:
        return True
    if isinstance(a, SymExpr) or isinstance(b, SymExpr):
        return isinstance(a, SymExpr) and isinstance(b, SymExpr) and a.terms == b.terms
    return a == b


def same_shape(a: tuple, b: tuple) -> bool:
    """Structural identity of two shapes; never guards."""
    return len(a) == len(b) and all(map(same, a, b))


def is_one(size: Dim) -> bool:
    """Whether a size is the integer 1, asked without guarding."""
    return isinstance(size, int) and size == 1


def is_zero(size: Dim) -> bool:
    """Whether a size is the integer 0, asked without guarding."""
    return isinstance(size, int) and size == 0


def is_below(size: Dim, bound: Dim) -> bool:
    """Whether size < bound, guarded.

    What a graph says of sizes was checked when it was made: where no environment is there to guard the answer, what
    is not known is not below.
    """
    try:
        return bool(size < bound)
    except UndecidableError:
        return False


def settled(size: Dim) -> Dim:
    """A size as a program asks for it; one below 0, which is wrong or stands for another, as the integer it is."""
    return specialise(size) if isinstance(size, SymExpr) and is_below(size, 0) else size


def symbols(dim: object) -> set[str]:
    """Names of the symbols that occur in `dim`."""
    if not isinstance(dim, SymExpr):
        return set()
    found: set[str] = set()
    for monomial, _ in dim.terms:
        for atom in monomial:
            if atom.fn == "sym":
                found.add(str(atom.args[0]))
            else:
                for arg in atom.args:
                    found |= symbols(arg)
    return found


def evaluate(dim: int | SymExpr, binding: Mapping[str, int | SymExpr]) -> int | SymExpr:
    """Substitute symbols; with every symbol bound to an int the answer is an int."""
    if not isinstance(dim, SymExpr):
        return dim
    total: int | SymExpr = 0
    for monomial, coefficient in dim.terms:
        product: int | SymExpr = coefficient
        for atom in monomial:
            product = product * _evaluate_atom(atom, binding)
        total = total + product
    return total


def _evaluate_atom(atom: Atom, binding: Mapping[str, int | SymExpr]) -> int | SymExpr:
    if atom.fn == "sym":
        name = str(atom.args[0])
        return binding[name] if name in binding else SymExpr({(atom,): 1})
    a, b = (evaluate(x, binding) for x in atom.args)  # type: ignore[arg-type]
    return FUNCTIONS[atom.fn](a, b)


def floordiv(a: object, b: object) -> int | SymExpr:
    """a // b, dividing out what divides exactly: (4*s0 + 2) // 2 == 2*s0 + 1."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if same(b, 1):
        return a  # type: ignore[return-value]
    if same(a, b):
        return 1
    if isinstance(b, int) and isinstance(a, SymExpr):
        whole = {m: c // b for m, c in a.terms if c % b == 0}
        rest = {m: c for m, c in a.terms if c % b != 0}
        if whole:
            return _from_terms(whole) + (floordiv(_from_terms(rest), b) if rest else 0)
    elif isinstance(a, SymExpr) and isinstance(b, SymExpr):
        quotient = _divide_by_monomial(a, b)
        if quotient is not None:
            return quotient
    return SymExpr({(Atom("floordiv", (a, b)),): 1})


def _divide_by_monomial(a: SymExpr, b: SymExpr) -> int | SymExpr | None:
    """The exact quotient when b is one monomial that divides every term of a, else None."""
    if len(b.terms) != 1:
        return None
    divisor, factor = b.terms[0]
    quotient: dict[Monomial, int] = {}
    for monomial, coefficient in a.terms:
        rest = list(monomial)
        for atom in divisor:
            if atom not in rest:
                return None
            rest.remove(atom)
        if coefficient % factor:
            return None
        quotient[tuple(rest)] = coefficient // factor
    return _from_terms(quotient)


def mod(a: object, b: object) -> int | SymExpr:
    """a % b with Python's sign convention."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    if same(b, 1) or same(a, b):
        return 0
    if isinstance(b, int) and isinstance(a, SymExpr):
        rest = _from_terms({m: c % b for m, c in a.terms})
        if not isinstance(rest, SymExpr):
            return rest % b
        return SymExpr({(Atom("mod", (rest, b)),): 1})
    if isinstance(a, SymExpr) and isinstance(b, SymExpr) and _divide_by_monomial(a, b) is not None:
        return 0
    return SymExpr({(Atom("mod", (a, b)),): 1})


def minimum(a: object, b: object) -> int | SymExpr:
    """min(a, b); an atom of its own unless both are numbers or the same."""
    return _extremum("min", a, b, min)


def maximum(a: object, b: object) -> int | SymExpr:
    """max(a, b); an atom of its own unless both are numbers or the same."""
    return _extremum("max", a, b, max)


def _extremum(fn: str, a: object, b: object, static: Callable[..., int]) -> int | SymExpr:
    if isinstance(a, int) and isinstance(b, int):
        return static(a, b)
    if same(a, b):
        return a  # type: ignore[return-value]
    first, second = sorted((a, b), key=lambda d: (len(str(d)), str(d)))
    return SymExpr({(Atom(fn, (first, second)),): 1})


FUNCTIONS: dict[str, Callable[[object, object], int | SymExpr]] = {
    "floordiv": floordiv,
    "mod": mod,
    "min": minimum,
    "max": maximum,
}


def product(dims: tuple) -> int | SymExpr:
    """The number of elements of a shape."""
    total: int | SymExpr = 1
    for d in dims:
        total = total * d
    return total


# ---------------------------------------------------------------------------------------------- decisions


#: the environments active on this thread; `shape_env` pushes and pops, the innermost answers
ACTIVE = ThreadStack.register()


def decide(relation: str, a: object, b: object) -> bool:
    """The truth of `a relation b` for relation in ==, <, <=; guards through the active ShapeEnv if undecidable."""
    difference = _combine(a, b, -1)
    if isinstance(difference, int):
        return difference == 0 if relation == "==" else difference < 0 if relation == "<" else difference <= 0
    if ACTIVE.stack:
        return ACTIVE.stack[-1].decide(relation, a, b)
    from tracegraph.ir.bounds import bounds_decide

    known = bounds_decide(relation, difference, lambda _: (0, None))
    if known is None:
        raise UndecidableError(f"cannot decide whether {_text(a)} {relation} {_text(b)}{_for_want_of(difference)}")
    return known


def specialise(dim: SymExpr) -> int:
    """The example value of `dim`, guarded on; what `int(size)` means while capturing."""
    if ACTIVE.stack:
        return ACTIVE.stack[-1].specialise(dim)
    raise UndecidableError(f"{_text(dim)} is used as a number{_for_want_of(dim)}")


def as_float(dim: SymExpr) -> Any:
    """`dim` as a float: one that varies with it where a trace has such numbers, else its value, guarded on."""
    if ACTIVE.stack:
        return ACTIVE.stack[-1].as_float(dim)
    return float(specialise(dim))


def _for_want_of(dim: object) -> str:
    names = ", ".join(sorted(symbols(dim)))
    return (
        f", which depends on {names}, and nothing here knows an example; give the dimension a static size "
        "(compile with dynamic=False, or mark_static(tensor, dim)), or work inside ShapeEnv.active()"
    )


# ---------------------------------------------------------------------------------------------- internals


def _is_dim(x: object) -> bool:
    return isinstance(x, SymExpr | Integral)


def _terms_of(x: object) -> dict[Monomial, int] | None:
    if isinstance(x, SymExpr):
        return dict(x.terms)
    if type(x) is int:
        return {(): x} if x else {}
    if isinstance(x, Integral):  # numpy's integers too, but not a tensor, which has operators of its own
        value = int(x)
        return {(): value} if value else {}
    return None


def _combine(a: object, b: object, sign: int) -> int | SymExpr:
    left, right = _terms_of(a), _terms_of(b)
    if left is None or right is None:
        return NotImplemented
    for m, c in right.items():
        left[m] = left.get(m, 0) + sign * c
    return _from_terms(left)


def _order(term: tuple[Monomial, int]) -> tuple[int, list[tuple[int, str]]]:
    """Where a term stands: highest degree first, then by the names of its factors."""
    monomial = term[0]
    return -len(monomial), [(len(a.key), a.key) for a in monomial]


def _from_terms(terms: dict[Monomial, int]) -> int | SymExpr:
    kept = {m: c for m, c in terms.items() if c}
    if not kept:
        return 0
    if len(kept) == 1 and () in kept:
        return kept[()]
    return SymExpr(kept)


def _text(x: object) -> str:
    if not isinstance(x, SymExpr):
        return str(x)
    out = ""
    for monomial, coefficient in x.terms:
        factors = [a.key for a in monomial]
        if abs(coefficient) != 1 or not factors:
            factors.insert(0, str(abs(coefficient)))
        sign = "-" if coefficient < 0 else "+"
        out += f" {sign} " if out else ("-" if sign == "-" else "")
        out += "*".join(factors)
    return out
