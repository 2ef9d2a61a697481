"""The gradient of a compiled call by its formulas, one by one on the tape: for derivatives of derivatives.

A compiled backward pass leaves no history. Where one is wanted (`create_graph=True`), the call is expanded: the
primal values that its gradient formulas read are restored from what was saved, and the formulas run op by op on
tensors, recorded. The restored values are results of one further node on the tape, the `Expansion`, which stands
where the call stood: what flows back to them goes through the same formulas again, to any order.

Nor does a compiled backward pass know the gradient of an output as a whole, where other outputs were computed from
it: it gives gradients of inputs alone. Where somebody asks for such a gradient, the formulas of the expansion run too,
and hand it out when it is complete.

Calls of which nobody asks such things pay nothing for this: no value is saved for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tracegraph import ir
from tracegraph.aot.dataflow import memory_of
from tracegraph.aot.higher_order import Pullback, at_fixed_sizes, primal_graph, pullback_graph, with_kept
from tracegraph.aot.joint import Joint
from tracegraph.autograd.tape import Inspect, Node
from tracegraph.errors import AutogradError
from tracegraph.ir import Graph, Value, interpret
from tracegraph.ir.interpreter import Interpreter
from tracegraph.ops.graphs.graph_module import GraphModule
from tracegraph.tensor import Tensor
from tracegraph.tensor.storage import Storage

if TYPE_CHECKING:
    from tracegraph.runtime.graph_node import GraphNode

#: values of the size symbols
Sizes = Mapping[str, int]

#: what a pull-back is made for: sizes, which cotangents there are, and the outputs whose gradients it hands out
_Case: TypeAlias = "tuple[tuple[tuple[str, int], ...], tuple[bool, ...], frozenset[int]]"


class Formulas:
    """The gradient formulas of one compiled graph.

    Args:
        joint: the joint graph as it was differentiated, before passes, with its kept values.
        restore: makes the graph from what is saved for backward to the kept values.
    """

    def __init__(self, joint: Joint, restore: Callable[[], Graph]) -> None:
        self.joint = joint
        self._restore = restore
        self._pullbacks: dict[_Case, Pullback] = {}

    @cached_property
    def _primal(self) -> Graph:
        return primal_graph(self.joint)

    @cached_property
    def _restoring(self) -> Graph:
        return self._restore()

    @cached_property
    def kept_inputs(self) -> tuple[int | None, ...]:
        """For each kept value, the position of the input in whose memory it lies, if there is one."""
        positions = {v: i for i, v in enumerate(self.joint.primals)}
        return tuple(positions.get(memory_of(v)) for v in self.joint.kept if isinstance(v, Value))

    @cached_property
    def kept_tensors(self) -> Sequence[int | None]:
        """For each kept value, the position of the input whose memory formulas read for it, whichever that is."""
        return self.joint.kept_tensors

    @cached_property
    def with_kept(self) -> Joint:
        """What is read by formulas that gradients of kept values go through too."""
        return with_kept(self.joint)

    @property
    def cotangents(self) -> list[int]:
        """The number, among the outputs and kept values, of each cotangent of `with_kept`."""
        outputs = len(self.joint.differentiable)
        kept = [outputs + i for i, has_history in enumerate(self.joint.with_history) if has_history]
        return [*range(outputs), *kept]

    def restored(self, saved: Sequence[np.ndarray], sizes: Sizes) -> list[np.ndarray]:
        """The kept values, from what was saved for backward."""
        return [np.asarray(v) for v in interpret(self._restoring, *saved, sizes=sizes)]

    def pullback(self, present: tuple[bool, ...], sizes: Sizes, inspected: frozenset[int] = frozenset()) -> Pullback:
        """From the kept values and the cotangents `present` to the gradients, for these sizes.

        It hands out the gradients of the differentiable outputs `inspected`.
        """
        key = tuple(sizes.items()), present, inspected
        found = self._pullbacks.get(key)
        if found is None:
            # no lock, which a fork might copy held: threads that come here together make the same
            joint = self.joint
            requires_grad = [i in joint.requiring for i in range(joint.inputs)]
            graph = at_fixed_sizes(self._primal, sizes)
            found = pullback_graph(graph, requires_grad, len(joint.kept), present, inspected)
            self._pullbacks[key] = found
        return found


class _Inspected(GraphModule):
    """A pull-back whose gradients of outputs pass through `inspect` as soon as they are there; for one execution."""

    def __init__(self, pullback: Pullback, inspect: Inspect) -> None:
        super().__init__(pullback.graph, Tensor)
        self._inspect = inspect
        self._to_come = list(pullback.inspections)

    def run(self, inputs: Sequence[Any], sizes: Sizes | None = None) -> tuple[Any, ...]:
        runner = Interpreter(self.graph)
        handed_out = {i.changed for i in self._to_come}
        given = [p for p in self.graph.placeholders if p not in handed_out]
        runner.environment = dict(zip(given, inputs, strict=True))
        return self.outputs(runner)

    def _execute_nodes(self, runner: Interpreter) -> None:
        super()._execute_nodes(runner)
        self._hand_out(runner)

    def call(self, node: ir.Node, runner: Interpreter) -> tuple[Any, ...]:
        self._hand_out(runner)
        return super().call(node, runner)

    def _hand_out(self, runner: Interpreter) -> None:
        environment: dict[ir.Value, Any] = runner.environment
        while self._to_come and self._to_come[0].gradient in environment:
            inspection = self._to_come.pop(0)
            environment[inspection.changed] = self._inspect(inspection.output, environment[inspection.gradient])


class Expansion(Node):
    """Stands for the node of a compiled call; its results are the differentiable outputs, then the kept values."""

    __slots__ = ("_call", "_changed", "_formulas", "_kept", "_order", "_sizes", "_storages")

    def __init__(self, formulas: Formulas, call: GraphNode, saved: Sequence[np.ndarray], sizes: Sizes) -> None:
        super().__init__(call.edges, call.results + len(formulas.joint.kept))
        self.number = call.number - 0.5  # after what the call was computed from, before all that was made of it
        self._call = call
        self._formulas = formulas
        self._sizes = sizes
        self._order: Sequence[int] | None = None
        #: inputs from which values were restored that are not those of forward
        self._changed = call.changed_inputs()
        #: of the inputs: what formulas read of them is refused, as any operation does, if it is written to
        self._storages: Mapping[int, Storage] = call.input_storages()
        self._kept: list[np.ndarray] | None = formulas.restored(saved, sizes)

    @property
    def name(self) -> str:
        return self._call.name

    @property
    def identity(self) -> Node:
        return self._call

    @property
    def is_released(self) -> bool:
        return self._kept is None

    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        """The gradients of the call's operands; recorded in grad mode."""
        return self.inspected_backward(cotangents, (), lambda _, gradient: gradient)

    def inspected_backward(
        self, cotangents: tuple[Tensor | None, ...], results: Collection[int], inspect: Inspect
    ) -> Sequence[Tensor | None]:
        if self._kept is None:
            raise AutogradError(
                "backward a second time through the gradient of a compiled graph, after its saved values were freed; "
                "pass retain_graph=True to the first backward()"
            )
        self._call.check_versions(cotangents, self._changed)
        has_history = self._formulas.joint.with_history
        kept = [
            self._load(array, i, h)
            for i, (array, h) in enumerate(zip(self._kept, has_history, strict=True), self._call.results)
        ]
        present = tuple(c is not None for c in cotangents)
        pullback = self._formulas.pullback(present, self._sizes, frozenset(results))
        handed_out = {i.output for i in pullback.inspections}
        given = [
            inspect(i, c) if i in results and i not in handed_out else c
            for i, c in enumerate(cotangents)
            if c is not None
        ]
        found = dict(zip(pullback.requiring, _Inspected(pullback, inspect)(*kept, *given), strict=True))
        wanted = self._formulas.joint.requiring
        self._order = [wanted.index(position) for position in pullback.requiring]
        return [found[position] for position in wanted]

    @property
    def order(self) -> Sequence[int] | None:
        return self._order

    def release(self) -> None:
        self._kept, self._storages = None, {}
        if self._call.is_released:
            self._call.forget()

    def _load(self, array: np.ndarray, index: int, has_history: bool) -> Tensor:
        """A kept value as a result of this node; made anew each time, as the tensor refers to the node."""
        number = index - self._call.results
        position = self._formulas.kept_tensors[number]
        kept = self._call.tensor_read(position) if position is not None else None
        if kept is not None:
            return kept
        tensor = Tensor(array)
        position = self._formulas.kept_inputs[number]
        if position is not None and position in self._storages:
            tensor._storage = self._storages[position]
        if has_history:
            tensor._requires_grad = True
            tensor._grad_fn, tensor._grad_index = self, index
        return tensor
