"""Arithmetic of element positions: index expressions over loop variables, simplified by the ranges of the variables.

An index is an int or a `SymExpr` whose symbols are sizes and loop variables. A variable runs over [0, extent); the
`Ranges` of a loop nest say which symbols are variables. With i in [0, 6) and j in [0, 4):

    (4*i + j) // 4           -->  i
    (4*i + j) % 4            -->  j
    (i // 3)*3 + i % 3       -->  i
    linear(8*i + j + s0, {i, j})  -->  s0 + 8 per step of i + 1 per step of j
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import gcd
from typing import TypeAlias

from tracegraph.ir import dim as dims
from tracegraph.ir.bounds import at_most
from tracegraph.ir.dim import Atom, Dim, SymExpr

#: extents of the loop variables, by name
Ranges: TypeAlias = Mapping[str, Dim]


def row_major(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """Strides, in elements, of a dense array."""
    strides: list[Dim] = []
    step: Dim = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))


def flatten(index: Sequence[Dim], strides: Sequence[Dim], offset: Dim = 0) -> Dim:
    """The position in memory of an element: `offset + sum(index * strides)`."""
    for i, stride in zip(index, strides, strict=True):
        offset = offset + i * stride
    return offset


def linear(index: Dim, variables: Iterable[str]) -> tuple[Dim, dict[str, Dim]] | None:
    """The constant part and the step per variable of an index linear in `variables`; None if it is not."""
    wanted = set(variables)
    rest: Dim = 0
    steps: dict[str, Dim] = {}
    for monomial, coefficient in _terms(index):
        product: Dim = coefficient
        variable = None
        for atom in monomial:
            if atom.fn == "sym" and atom.args[0] in wanted:
                if variable is not None:
                    return None
                variable = str(atom.args[0])
            elif atom.fn != "sym" and dims.symbols(_expr(atom)) & wanted:
                return None
            else:
                product = product * _expr(atom)
        if variable is None:
            rest = rest + product
        else:
            steps[variable] = steps.get(variable, 0) + product
    return rest, steps


def simplify(index: Dim, ranges: Ranges) -> Dim:
    """An equal index with fewer divisions, given the ranges of the variables."""
    if not isinstance(index, SymExpr) or all(a.fn == "sym" for m, _ in index.terms for a in m):
        return index
    total: Dim = 0
    for monomial, coefficient in index.terms:
        product: Dim = coefficient
        for atom in monomial:
            product = product * _simplify_atom(atom, ranges)
        total = total + product
    return _recombine(total)


class Simplifier:
    """`simplify` with its answers remembered; `ranges` may gain variables, but none changes."""

    def __init__(self, ranges: Ranges) -> None:
        self.ranges = ranges
        self._known: dict[object, Dim] = {}

    def __call__(self, index: Dim) -> Dim:
        if not isinstance(index, SymExpr):
            return index
        found = self._known.get(index.terms)
        if found is None:
            found = self._known[index.terms] = simplify(index, self.ranges)
        return found


def is_below(index: Dim, size: Dim, ranges: Ranges) -> bool:
    """Whether 0 <= index < size provably holds within the ranges."""
    lowest, highest = _extreme(index, ranges, -1), _extreme(index, ranges, +1)
    return lowest is not None and highest is not None and at_most(0, lowest) and at_most(highest + 1, size)


def _extreme(index: Dim, ranges: Ranges, sign: int) -> Dim | None:
    """A bound of `index` from above (sign +1) or below (-1), free of variables; None if not known."""
    total: Dim = 0
    for monomial, coefficient in _terms(index):
        product: Dim = coefficient
        upwards = sign * coefficient > 0
        for atom in monomial:
            bound = _atom_extreme(atom, ranges, upwards)
            if bound is None:
                return None
            product = product * bound
        total = total + product
    return total


def _atom_extreme(atom: Atom, ranges: Ranges, upwards: bool) -> Dim | None:
    """A bound of an atom, all of which are taken to be non-negative."""
    if atom.fn == "sym":
        name = str(atom.args[0])
        if name not in ranges:
            return _expr(atom)
        return ranges[name] - 1 if upwards else 0
    a, b = _pair(atom)
    if dims.symbols(b) & set(ranges):
        return None
    inner = _extreme(a, ranges, +1 if upwards else -1)
    if atom.fn == "mod":
        return b - 1 if upwards else 0
    if atom.fn == "floordiv" and inner is not None:
        return inner // b
    return None


def _simplify_atom(atom: Atom, ranges: Ranges) -> Dim:
    if atom.fn == "sym":
        return _expr(atom)
    a, b = (simplify(x, ranges) for x in _pair(atom))
    if atom.fn == "floordiv":
        return divide(a, b, ranges)[0]
    if atom.fn == "mod":
        return divide(a, b, ranges)[1]
    return dims.FUNCTIONS[atom.fn](a, b)


def divide(a: Dim, b: Dim, ranges: Ranges) -> tuple[Dim, Dim]:
    """(a // b, a % b) for b > 0.

    What is a multiple of b is split off first; a rest known to lie in [0, b) needs no division.
    """
    whole, rest = _split(a, b)
    if is_below(rest, b, ranges):
        return whole, rest
    if isinstance(b, int):
        for factor in sorted({gcd(c, b) for _, c in _terms(rest)} - {1, b}, reverse=True):
            coarse, fine = _split(rest, factor)
            if is_below(fine, factor, ranges):
                quotient, remainder = divide(coarse, b // factor, ranges)
                return whole + quotient, remainder * factor + fine
        if (nested := _lone_atom(rest)) is not None and nested.fn == "floordiv" and isinstance(nested.args[1], int):
            # (x // c) // b == x // (c*b)
            return whole + dims.floordiv(nested.args[0], nested.args[1] * b), dims.mod(rest, b)
    return whole + dims.floordiv(rest, b), dims.mod(rest, b)


def _split(a: Dim, b: Dim) -> tuple[Dim, Dim]:
    """(q, r) with a == q*b + r, where q takes every term of `a` that b divides."""
    divisor = _terms(b)
    if len(divisor) != 1:
        return (1, 0) if dims.same(a, b) else (0, a)
    atoms, factor = divisor[0]
    whole: Dim = 0
    rest: Dim = 0
    for monomial, coefficient in _terms(a):
        left = list(monomial)
        divisible = all(_take(left, atom) for atom in atoms)
        if divisible and not left and not atoms:
            whole, rest = whole + coefficient // factor, rest + coefficient % factor
        elif divisible and coefficient % factor == 0:
            whole = whole + _product(tuple(left), coefficient // factor)
        else:
            rest = rest + _product(monomial, coefficient)
    return whole, rest


def _take(atoms: list[Atom], atom: Atom) -> bool:
    if atom not in atoms:
        return False
    atoms.remove(atom)
    return True


def _recombine(index: Dim) -> Dim:
    """q*c*(x // c) + q*(x % c) --> q*x, wherever such a pair of terms occurs."""
    if not isinstance(index, SymExpr):
        return index
    for monomial, coefficient in index.terms:
        for atom in monomial:
            if atom.fn != "mod":
                continue
            others = list(monomial)
            others.remove(atom)
            outer = _product(tuple(others), coefficient)
            x, c = _pair(atom)
            for quotient in _quotients(x, c):
                partner = outer * c * quotient
                if isinstance(partner, SymExpr) and partner.terms[0] in index.terms and len(partner.terms) == 1:
                    return _recombine(index - partner - outer * _expr(atom) + outer * x)
    return index


def _pair(atom: Atom) -> tuple[Dim, Dim]:
    """The operands of a floordiv, mod, min or max."""
    a, b = atom.args
    assert isinstance(a, int | SymExpr) and isinstance(b, int | SymExpr)
    return a, b


def _quotients(x: Dim, c: Dim) -> Iterable[Dim]:
    """The forms x // c may have taken: (y // a) // c reads y // (a*c)."""
    yield SymExpr({(Atom("floordiv", (x, c)),): 1})
    inner = _lone_atom(x)
    if inner is not None and inner.fn == "floordiv" and isinstance(inner.args[1], int) and isinstance(c, int):
        yield dims.floordiv(inner.args[0], inner.args[1] * c)


def _lone_atom(x: Dim) -> Atom | None:
    """The atom that `x` is, if it is nothing more."""
    if isinstance(x, SymExpr) and len(x.terms) == 1:
        monomial, coefficient = x.terms[0]
        if coefficient == 1 and len(monomial) == 1:
            return monomial[0]
    return None


def _terms(x: Dim) -> Sequence[tuple[tuple[Atom, ...], int]]:
    if isinstance(x, SymExpr):
        return x.terms
    return (((), int(x)),) if x else ()


def _expr(atom: Atom) -> SymExpr:
    return SymExpr({(atom,): 1})


def _product(atoms: tuple[Atom, ...], coefficient: int) -> Dim:
    product: Dim = coefficient
    for atom in atoms:
        product = product * _expr(atom)
    return product
