"""Integer index expressions of the loop IR, in a canonical polynomial form.

An `Index` is a sum of integer coefficients times products of atoms; an atom is a name (loop variable or
size), an i64 scalar value (`%p`), or a floordiv, mod, min or max of two indices. Equal expressions
therefore compare equal after expansion, the stride of a loop variable can be read off (`stride_of`), and
the text form round-trips. Division and modulus round towards minus infinity and need a positive divisor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from tracegraph.errors import IRError


class IndexFunction(Enum):
    """The operators that make an opaque atom out of two indices."""

    FLOORDIV = "//"
    MOD = "%"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Name:
    """A loop variable or a size parameter."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ValueRef:
    """A scalar value of the kernel by name, without the leading `%` of the text form."""

    name: str

    def __str__(self) -> str:
        return f"%{self.name}"


@dataclass(frozen=True, slots=True)
class BinaryAtom:
    """`function(left, right)`: not expanded any further."""

    function: IndexFunction
    left: Index
    right: Index

    def __str__(self) -> str:
        if self.function in (IndexFunction.MIN, IndexFunction.MAX):
            return f"{self.function.value}({self.left}, {self.right})"
        return f"{_factor_text(self.left)} {self.function.value} {_factor_text(self.right)}"


Atom = Name | ValueRef | BinaryAtom
Monomial = tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """A canonical integer expression: `terms` maps monomials to non-zero coefficients, sorted by their text.

    Build one with `index(...)` and the operators `+ - * // %`; never construct it from unsorted terms.
    """

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: IndexLike) -> Index:
        total = dict(self.terms)
        for monomial, coefficient in index(other).terms:
            total[monomial] = total.get(monomial, 0) + coefficient
        return _canonical(total)

    def __sub__(self, other: IndexLike) -> Index:
        return self + index(other) * -1

    def __mul__(self, other: IndexLike) -> Index:
        product: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in index(other).terms:
                monomial = tuple(sorted(left + right, key=str))
                product[monomial] = product.get(monomial, 0) + a * b
        return _canonical(product)

    def __floordiv__(self, other: IndexLike) -> Index:
        divisor = index(other)
        _require_positive(divisor, "//", self)
        constant = divisor.constant
        if constant is not None and all(c % constant == 0 for _, c in self.terms):
            return _canonical({m: c // constant for m, c in self.terms})
        if self.constant is not None and constant is not None:
            return index(self.constant // constant)
        return _atom(BinaryAtom(IndexFunction.FLOORDIV, self, divisor))

    def __mod__(self, other: IndexLike) -> Index:
        divisor = index(other)
        _require_positive(divisor, "%", self)
        constant = divisor.constant
        if constant is not None and all(c % constant == 0 for _, c in self.terms):
            return index(0)
        if self.constant is not None and constant is not None:
            return index(self.constant % constant)
        return _atom(BinaryAtom(IndexFunction.MOD, self, divisor))

    def __radd__(self, other: IndexLike) -> Index:
        return index(other) + self

    def __rsub__(self, other: IndexLike) -> Index:
        return index(other) - self

    def __rmul__(self, other: IndexLike) -> Index:
        return index(other) * self

    def __neg__(self) -> Index:
        return self * -1

    @property
    def constant(self) -> int | None:
        """The value if this is a plain integer, else None."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and self.terms[0][0] == ():
            return self.terms[0][1]
        return None

    def atoms(self) -> Iterator[Atom]:
        """Every atom, outermost first, including those inside other atoms."""
        for monomial, _ in self.terms:
            for atom in monomial:
                yield atom
                if isinstance(atom, BinaryAtom):
                    yield from atom.left.atoms()
                    yield from atom.right.atoms()

    def names(self) -> set[str]:
        """The loop variables and sizes mentioned."""
        return {atom.name for atom in self.atoms() if isinstance(atom, Name)}

    def values(self) -> set[str]:
        """The scalar values mentioned."""
        return {atom.name for atom in self.atoms() if isinstance(atom, ValueRef)}

    def stride_of(self, variable: str) -> Index | None:
        """d(self)/d(variable) if the expression is linear in it (zero if absent), else None."""
        name = Name(variable)
        stride = index(0)
        for monomial, coefficient in self.terms:
            if any(variable in a.left.names() | a.right.names() for a in monomial if isinstance(a, BinaryAtom)):
                return None
            power = monomial.count(name)
            if power > 1:
                return None
            if power == 1:
                rest = list(monomial)
                rest.remove(name)
                stride = stride + _canonical({tuple(rest): coefficient})
        return stride

    def substitute(self, replacements: Mapping[Atom, Index]) -> Index:
        """The same expression with atoms (names or values) replaced."""
        total = index(0)
        for monomial, coefficient in self.terms:
            product = index(coefficient)
            for atom in monomial:
                product = product * _substitute_atom(atom, replacements)
            total = total + product
        return total

    def evaluate(self, lookup: Callable[[Name | ValueRef], int]) -> int:
        """The integer value, asking `lookup` for names and values."""
        return sum(
            coefficient * _product(_evaluate_atom(atom, lookup) for atom in monomial)
            for monomial, coefficient in self.terms
        )

    def __str__(self) -> str:
        if not self.terms:
            return "0"
        pieces: list[str] = []
        for monomial, coefficient in self.terms:
            sign = "-" if coefficient < 0 else "+"
            body = _term_text(monomial, abs(coefficient))
            pieces.append(f" {sign} {body}" if pieces else (f"-{body}" if sign == "-" else body))
        return "".join(pieces)


IndexLike = Index | int


def index(value: IndexLike | str | ValueRef) -> Index:
    """An `Index` from an int, a loop variable or size name, a scalar value reference, or an Index."""
    if isinstance(value, Index):
        return value
    if isinstance(value, ValueRef):
        return _atom(value)
    if isinstance(value, str):
        return _atom(Name(value))
    return Index(((((), int(value)),)) if value else ())


def minimum(left: IndexLike, right: IndexLike) -> Index:
    """`min(left, right)`, folded when both are constants or equal."""
    return _extremum(IndexFunction.MIN, index(left), index(right))


def maximum(left: IndexLike, right: IndexLike) -> Index:
    """`max(left, right)`, folded when both are constants or equal."""
    return _extremum(IndexFunction.MAX, index(left), index(right))


_EVALUATE: dict[IndexFunction, Callable[[int, int], int]] = {
    IndexFunction.FLOORDIV: lambda a, b: a // b,
    IndexFunction.MOD: lambda a, b: a % b,
    IndexFunction.MIN: min,
    IndexFunction.MAX: max,
}
_REBUILD: dict[IndexFunction, Callable[[Index, Index], Index]] = {
    IndexFunction.FLOORDIV: lambda a, b: a // b,
    IndexFunction.MOD: lambda a, b: a % b,
    IndexFunction.MIN: minimum,
    IndexFunction.MAX: maximum,
}


def _extremum(function: IndexFunction, left: Index, right: Index) -> Index:
    if left == right:
        return left
    if left.constant is not None and right.constant is not None:
        return index(_EVALUATE[function](left.constant, right.constant))
    return _atom(BinaryAtom(function, left, right))


def _canonical(terms: Mapping[Monomial, int]) -> Index:
    kept = [(monomial, coefficient) for monomial, coefficient in terms.items() if coefficient != 0]
    # constants last and negative terms behind the others, so that text reads `i - 1` and `j - i`
    kept.sort(key=lambda term: (term[0] == (), term[1] < 0, [str(atom) for atom in term[0]]))
    return Index(tuple(kept))


def _atom(atom: Atom) -> Index:
    return Index((((atom,), 1),))


def _require_positive(divisor: Index, operator: str, dividend: Index) -> None:
    if divisor.constant is not None and divisor.constant <= 0:
        raise IRError(f"index expression ({dividend}) {operator} {divisor}: the divisor must be positive")


def _substitute_atom(atom: Atom, replacements: Mapping[Atom, Index]) -> Index:
    if isinstance(atom, BinaryAtom):
        left, right = atom.left.substitute(replacements), atom.right.substitute(replacements)
        return _REBUILD[atom.function](left, right)
    return replacements.get(atom, _atom(atom))


def _evaluate_atom(atom: Atom, lookup: Callable[[Name | ValueRef], int]) -> int:
    if isinstance(atom, BinaryAtom):
        return _EVALUATE[atom.function](atom.left.evaluate(lookup), atom.right.evaluate(lookup))
    return lookup(atom)


def _product(factors: Iterator[int]) -> int:
    result = 1
    for factor in factors:
        result *= factor
    return result


def _term_text(monomial: Monomial, coefficient: int) -> str:
    factors = [
        f"({atom})" if _needs_parentheses(atom) and (len(monomial) > 1 or coefficient != 1) else str(atom)
        for atom in monomial
    ]
    if coefficient != 1 or not factors:
        factors.append(str(coefficient))
    return "*".join(factors)


def _needs_parentheses(atom: Atom) -> bool:
    return isinstance(atom, BinaryAtom) and atom.function in (IndexFunction.FLOORDIV, IndexFunction.MOD)


def _factor_text(expression: Index) -> str:
    """Text of an operand of // or %: atoms and non-negative integers stand bare, the rest in parentheses."""
    text = str(expression)
    if expression.constant is not None and expression.constant >= 0:
        return text
    if len(expression.terms) == 1:
        monomial, coefficient = expression.terms[0]
        if coefficient == 1 and len(monomial) == 1 and not _needs_parentheses(monomial[0]):
            return text
    return f"({text})"
