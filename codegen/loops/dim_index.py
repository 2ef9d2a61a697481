"""Sizes and positions of the graph IR (`ir.dim`) as index expressions of the loop IR."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tracegraph.codegen.loops.loop_index import Index, index, maximum, minimum
from tracegraph.ir.dim import Atom, Dim, SymExpr

_FUNCTIONS: dict[str, Callable[[Index, Index], Index]] = {
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "min": minimum,
    "max": maximum,
}


def loop_index(dim: Dim, symbols: Mapping[str, Index]) -> Index:
    """`dim` with its symbols replaced."""
    if not isinstance(dim, SymExpr):
        return index(int(dim))
    total = index(0)
    for monomial, coefficient in dim.terms:
        product = index(coefficient)
        for atom in monomial:
            product = product * _atom(atom, symbols)
        total = total + product
    return total


def _atom(atom: Atom, symbols: Mapping[str, Index]) -> Index:
    if atom.fn == "sym":
        return symbols[str(atom.args[0])]
    a, b = (loop_index(x, symbols) for x in atom.args)  # type: ignore[arg-type]
    return _FUNCTIONS[atom.fn](a, b)
