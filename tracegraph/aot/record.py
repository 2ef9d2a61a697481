"""What functionalising took out of a graph: writes to inputs, and which results alias what.

Whoever calls the pure graph restores both from the record: first the write-backs, then the results in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tracegraph.ir.dim import SymExpr
from tracegraph.ops.kinds import View

#: view ops with their attributes, first applied first; eager tensors keep theirs in the same form
ViewChain: TypeAlias = tuple[tuple[View, Mapping[str, object]], ...]


@dataclass(frozen=True)
class WriteBack:
    """After the call, input number `input` holds the elements of output number `output` of the pure graph.

    `keeps_history`: it was written to outside grad mode, so gradients flow as if it had not been.
    """

    input: int
    output: int
    keeps_history: bool = False


@dataclass(frozen=True)
class FromInput:
    """A result that is input number `input` itself, or the view of it that `chain` makes."""

    input: int
    chain: ViewChain = ()


@dataclass(frozen=True)
class FromOutput:
    """A result that is a tensor of its own, output number `output` of the pure graph, or a view of such a tensor.

    Results with the same `output` share memory; the tensor that `output` becomes must not share any with an input
    or another output, even where the pure graph returns the same value for both.
    """

    output: int
    chain: ViewChain = ()


@dataclass(frozen=True)
class Static:
    """A result that is no tensor: a number, a size (in terms of the sizes of the inputs) or None."""

    value: int | float | bool | SymExpr | None


Result: TypeAlias = FromInput | FromOutput | Static


@dataclass(frozen=True)
class MutationRecord:
    """How a call of the pure graph stands for a call of the original one.

    Attributes:
        inputs: the number of inputs of the original graph; the pure graph takes them first.
        keys: how many random keys the pure graph takes after them, in the order in which they are to be drawn.
        write_backs: new elements of inputs, by input.
        results: where each output of the original graph comes from. Outputs of the original graph that are one value
            share one record object.
    """

    inputs: int
    keys: int
    write_backs: tuple[WriteBack, ...]
    results: tuple[Result, ...]

    def takes_cotangent(self, outputs: int) -> list[bool]:
        """Which of the outputs of the pure graph get a cotangent if they are differentiable."""
        without = {w.output for w in self.write_backs if w.keeps_history}
        return [i not in without for i in range(outputs)]

    @property
    def written(self) -> frozenset[int]:
        """Positions of the inputs that are written to."""
        return frozenset(w.input for w in self.write_backs)
