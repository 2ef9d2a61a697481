"""Control flow: ops that run graphs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tracegraph.errors import IRError
from tracegraph.ir import Graph, Kind, TensorType, Value
from tracegraph.ir.subgraphs import symbols_of
from tracegraph.ops.control.body_runners import ArrayRunner, HandleRunner, Runner
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.kinds.higher_order import HigherOrder
from tracegraph.ops.numerics.quiet import quiet


class ControlFlow(HigherOrder):
    """An op whose node holds graphs, and runs one or another of them, once or repeatedly.

    Class attributes:
        bodies: names of the attributes that hold graphs. A further attribute, `sizes`, holds the values of the size
            symbols that these mention (see `ir.subgraphs`).

    Rules:
        infer: checks that the graphs fit the operands.
        execute(self, runner, operands, attrs): the control flow itself, in Python; `runner` runs the graphs, on numpy
            arrays or on tensor handles, and does the little that the two do not have in common.

    On eager tensors `enter` just calls the functions; on traced ones it records a node.
    """

    kind = Kind.CONTROL
    method = False
    recompute_cost = float("inf")
    bodies: ClassVar[tuple[str, ...]]
    #: whether a node has a gradient (see `aot.control_flow`)
    differentiable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.is_differentiable = self.differentiable

    def may_raise(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> bool:
        return any(node.may_raise for name in self.bodies for node in attrs[name].nodes)

    def gives_zeros_for_zeros(self, attrs: Mapping[str, Any]) -> bool:
        nodes = (node for name in self.bodies for node in attrs[name].calls)
        return all(n.target.gives_zeros_for_zeros(n.attrs) for n in nodes if isinstance(n.target, Definition))

    @abstractmethod
    def execute(self, runner: Runner, operands: Sequence[Any], attrs: dict[str, Any]) -> Sequence[Any]:
        """The results, which share memory with no operand and with each other not."""

    def check_call(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> None:
        # a node has the operands of its graphs, not the signature's; `infer` checks that they fit
        for name in self.bodies:
            if not isinstance(attrs.get(name), Graph):
                raise IRError(f"{self.name}: the attribute {name!r} must be a graph")

    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        """Execute on arrays; an attribute in the place of a graph may also be an `ir.subgraphs.Body`."""
        with quiet():
            return tuple(self.execute(ArrayRunner(attrs), operands, attrs))

    def expand(self, operands: Sequence[Any], attrs: Any) -> Any:
        """Execute on tensor handles, op by op: how a tape sees it."""
        return self.pack(self.execute(HandleRunner(attrs, operands[0]), operands, attrs))

    def check_inputs(self, body: str, attrs: dict[str, Any], given: Sequence[object]) -> tuple[TensorType, ...]:
        """The types of a body's outputs.

        Raises:
            IRError: it does not take what is given, an output is no tensor, or `sizes` names another number of symbols.
        """
        graph = attrs[body]
        assert isinstance(graph, Graph)
        expected = tuple(p.type for p in graph.placeholders)
        if tuple(given) != expected:
            raise IRError(f"{self.name}: {body} takes ({_listed(expected)}), is given ({_listed(given)})")
        if not all(isinstance(o, Value) for o in graph.outputs):
            raise IRError(f"{self.name}: every output of {body} must be a value")
        symbols = symbols_of(attrs[name] for name in self.bodies)
        if len(attrs["sizes"]) != len(symbols):
            raise IRError(f"{self.name}: sizes must be the values of [{_listed(symbols)}], not {attrs['sizes']}")
        return tuple(o.type for o in graph.outputs if isinstance(o, Value))


def _listed(types: Sequence[object]) -> str:
    return ", ".join(map(str, types))
