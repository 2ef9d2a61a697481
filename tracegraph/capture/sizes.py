"""Symbols of one trace: sizes of tensors and ints that vary, each with the Source its value is read from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tracegraph.capture.sources import Source
from tracegraph.ir import ShapeEnv, SymExpr
from tracegraph.ir import dim as dims

#: an int symbol may take any value, a size symbol none below 2
_ANY_INT = -(2**63)


@dataclass(frozen=True)
class SizeCondition:
    """A guard on symbols: `text` is a Python condition over the symbols' names."""

    text: str
    symbols: tuple[tuple[str, Source], ...]

    def __str__(self) -> str:
        sources = dict(self.symbols)
        return re.sub(r"\b[a-z]+\d+\b", lambda m: str(sources.get(m[0], m[0])), self.text)


class Sizes:
    """The symbols of a trace and the conditions under which it may be reused."""

    def __init__(self) -> None:
        self.env = ShapeEnv()
        self.sources: dict[str, Source] = {}
        self._sizes: dict[int, str] = {}
        self._equal: list[tuple[str, Source]] = []

    def symbol(self, size: int, source: Source) -> SymExpr:
        """The symbol of a tensor size. Sizes that are equal now share one, guarded to stay equal."""
        name = self._sizes.get(size)
        if name is not None:
            self._equal.append((name, source))
            return dims.sym(name)
        symbol = self.env.fresh(size)
        self._sizes[size] = str(symbol)
        self.sources[str(symbol)] = source
        return symbol

    def integer(self, value: int, source: Source) -> SymExpr:
        """The symbol of an int argument that varies."""
        symbol = self.env.fresh(value, low=_ANY_INT)
        self.sources[str(symbol)] = source
        return symbol

    def known_to_graph(self, value: Any) -> Any:
        """`value` for use in the graph: ints that vary are no inputs of it, so they become constants."""
        if isinstance(value, SymExpr) and not dims.symbols(value) <= set(self._sizes.values()):
            return int(value)
        if isinstance(value, tuple):
            return tuple(map(self.known_to_graph, value))
        return value

    def condition(self, text: str, *expressions: object) -> SizeCondition:
        names = sorted(set().union(*map(dims.symbols, expressions)))
        return SizeCondition(text, tuple((n, self.sources[n]) for n in names))

    def conditions(self) -> list[SizeCondition]:
        """What was asked of the symbols during the trace."""
        found = [self.condition(str(g), g.left, g.right) for g in self.env.guards]
        for position, (name, source) in enumerate(self._equal):
            other = f"other{position}"
            found.append(SizeCondition(f"{other} == {name}", ((other, source), (name, self.sources[name]))))
        return found
