"""The gradient of a compiled call by its formulas, one by one on the tape: for derivatives of derivatives.

A compiled backward pass leaves no history. Where one is wanted (`create_graph=True`), the call is expanded: the
primal values that its gradient formulas read are restored from what was saved, and the formulas run op by op on
tensors, recorded. The restored values are results of one further node on the tape, the `Expansion`, which stands
where the call stood: what flows back to them goes through the same formulas again, to any order.

Calls that nobody differentiates twice pay nothing for this: no value is saved for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tracegraph.aot.higher_order import at_fixed_sizes, primal_graph, pullback_graph
from tracegraph.aot.joint import Joint
from tracegraph.autograd.tape import Node
from tracegraph.errors import AutogradError
from tracegraph.ir import Graph, interpret
from tracegraph.ops.graph_module import GraphModule
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.runtime.graph_node import GraphNode

#: values of the size symbols
Sizes = Mapping[str, int]


class Formulas:
    """The gradient formulas of one compiled graph.

    Args:
        joint: the joint graph as it was differentiated, before passes, with its kept values.
        restore: makes the graph from what is saved for backward to the kept values.
    """

    def __init__(self, joint: Joint, restore: Callable[[], Graph]) -> None:
        self.joint = joint
        self._restore = restore
        self._modules: dict[tuple[tuple[tuple[str, int], ...], tuple[bool, ...]], GraphModule] = {}

    @cached_property
    def _primal(self) -> Graph:
        return primal_graph(self.joint)

    @cached_property
    def _restoring(self) -> Graph:
        return self._restore()

    def restored(self, saved: Sequence[np.ndarray], sizes: Sizes) -> list[np.ndarray]:
        """The kept values, from what was saved for backward."""
        return [np.asarray(v) for v in interpret(self._restoring, *saved, sizes=sizes)]

    def pullback(self, present: tuple[bool, ...], sizes: Sizes) -> GraphModule:
        """From the kept values and the cotangents `present` to the gradients, for these sizes."""
        key = (tuple(sizes.items()), present)
        found = self._modules.get(key)
        if found is None:
            # no lock, which a fork might copy held: threads that come here together make the same
            joint = self.joint
            requires_grad = [i in joint.requiring for i in range(joint.inputs)]
            graph = at_fixed_sizes(self._primal, sizes)
            found = GraphModule(pullback_graph(graph, requires_grad, len(joint.kept), present), Tensor)
            self._modules[key] = found
        return found


class Expansion(Node):
    """Stands for the node of a compiled call; its results are the differentiable outputs, then the kept values."""

    __slots__ = ("_call", "_formulas", "_kept", "_sizes")

    def __init__(self, formulas: Formulas, call: GraphNode, saved: Sequence[np.ndarray], sizes: Sizes) -> None:
        super().__init__(call.edges, call.results + len(formulas.joint.kept))
        self.number = call.number - 0.5  # after what the call was computed from, before all that was made of it
        self._call = call
        self._formulas = formulas
        self._sizes = sizes
        self._kept: list[np.ndarray] | None = formulas.restored(saved, sizes)

    @property
    def name(self) -> str:
        return self._call.name

    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        """The gradients of the call's operands; recorded in grad mode."""
        if self._kept is None:
            raise AutogradError(
                "backward a second time through the gradient of a compiled graph, after its saved values were freed; "
                "pass retain_graph=True to the first backward()"
            )
        self._call.check_versions([True] * self._call.results)
        has_history = self._formulas.joint.with_history
        kept = [
            self._load(array, i, h)
            for i, (array, h) in enumerate(zip(self._kept, has_history, strict=True), self._call.results)
        ]
        module = self._formulas.pullback(tuple(c is not None for c in cotangents), self._sizes)
        return module(*kept, *(c for c in cotangents if c is not None))

    def release(self) -> None:
        self._kept = None

    def _load(self, array: np.ndarray, index: int, has_history: bool) -> Tensor:
        """A kept value as a result of this node; made anew each time, as the tensor refers to the node."""
        tensor = Tensor(array)
        if has_history:
            tensor._requires_grad = True
            tensor._grad_fn, tensor._grad_index = self, index
        return tensor
