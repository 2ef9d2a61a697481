"""From the shapes of the inputs to the values of the size symbols, with every dimension checked."""

from __future__ import annotations

from collections.abc import Sequence

from tracegraph.errors import CompileError, ShapeError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, SymExpr
from tracegraph.ir.graph import Graph


class SizeBinding:
    """Solves the sizes of a graph's inputs for its symbols.

    A symbol is read off an axis whose size is `c*symbol + d`; every other axis must then agree.
    """

    def __init__(self, graph: Graph, symbols: Sequence[str]) -> None:
        self.types = tuple(p.type for p in graph.placeholders)
        self.names = tuple(p.node.name or f"arg{n}" for n, p in enumerate(graph.placeholders))
        self.symbols = tuple(symbols)
        #: for each symbol: input, axis, factor and constant of its defining size
        self.sources: dict[str, tuple[int, int, int, int]] = {}
        for position, type in enumerate(self.types):
            for axis, size in enumerate(type.shape):
                self._learn(position, axis, size)
        missing = [s for s in self.symbols if s not in self.sources]
        if missing:
            raise CompileError(
                f"graph {graph.name}: size {', '.join(missing)} cannot be read off any input; "
                "pass a tensor that has this size as a dimension"
            )

    def _learn(self, position: int, axis: int, size: Dim) -> None:
        if not isinstance(size, SymExpr):
            return
        factors = [(m, c) for m, c in size.terms if m]
        constant = sum(c for m, c in size.terms if not m)
        if len(factors) != 1 or len(factors[0][0]) != 1 or factors[0][0][0].fn != "sym":
            return
        name, factor = str(factors[0][0][0].args[0]), factors[0][1]
        # a size that is the symbol itself is the best source
        if name not in self.sources or (factor == 1 and constant == 0 and self.sources[name][2:] != (1, 0)):
            self.sources[name] = (position, axis, factor, constant)

    def solve(self, shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
        """The value of every symbol.

        Raises:
            ShapeError: a shape is not what the graph was compiled for; names the input, both shapes.
        """
        for name, type, shape in zip(self.names, self.types, shapes, strict=True):
            if len(shape) != len(type.shape):
                raise ShapeError(f"input {name} has shape {list(shape)}, the graph was compiled for {type}")
        sizes = {
            symbol: (shapes[position][axis] - constant) // factor
            for symbol, (position, axis, factor, constant) in self.sources.items()
        }
        for name, type, shape in zip(self.names, self.types, shapes, strict=True):
            if any(dims.evaluate(d, sizes) != n for d, n in zip(type.shape, shape, strict=True)):
                bound = ", ".join(f"{s}={n}" for s, n in sizes.items())
                raise ShapeError(
                    f"input {name} has shape {list(shape)}, the graph was compiled for {type}"
                    f"{f' with {bound}' if bound else ''}"
                )
        return sizes
