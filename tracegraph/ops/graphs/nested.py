"""Recording a function as a graph inside another graph: a branch, a loop body.

    y = x * 2                                  %0: f32[3] = mul(%x, 2)
    tg.cond(p, lambda a: a + y, f, (x,))  -->  %1: f32[3] = cond(%p, %x, %0, true_graph=graph true_fn(%arg0: f32[3],
                                                   %arg1: f32[3]) { ... }, ...)

What the function closes over becomes a further input of its graph: handles of the enclosing graph are taken in as ops
meet them, through as many levels as there are. Constants of the enclosing graph are copied.

A function that draws random numbers becomes a graph that is given the key of the next draw, and returns the one after
its own, so that it is pure, and whoever runs it, however often, draws in the order of the program:

    lambda a: a * tg.rand(3)    -->    graph true_fn(%key: i64[2], %arg0: f32[3]) {
                                         %0: f32[3] = philox_uniform(%key, size=[3], dtype=f32)
                                         %1: f32[3] = mul(%arg0, %0)
                                         %2: i64[2] = add(%key, constant [0, 1])
                                         return %2, %1
                                       }
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np

from tracegraph.errors import ControlFlowError
from tracegraph.ir import Builder, Graph, Kind, Rebuilder, TensorType, Value
from tracegraph.ops.core.definition import Definition, Handle
from tracegraph.ops.core.layout import Strides
from tracegraph.ops.core.random_key import KEY
from tracegraph.ops.graphs.recording import NESTED, Recorder, Traced
from tracegraph.ops.graphs.structure import Structure, flatten
from tracegraph.ops.kinds import Effect


@dataclass(frozen=True)
class Input:
    """An input of a graph to record: its type, whether it requires grad, and its strides if not C-contiguous."""

    type: TensorType
    requires_grad: bool = False
    strides: Strides | None = None


@dataclass(frozen=True)
class RecordedBody:
    """A function as a graph.

    Attributes:
        graph: takes the key of the next draw if it is keyed, the inputs, then what was captured; returns the key after
            its draws if it is keyed, then the tensors among the results.
        inputs: the number of inputs, the key among them.
        captured: values of the enclosing graph, and the placeholders of `graph` that stand for them.
        requires_grad: of each result, whether gradients flow to it.
        structure: of the results.
        requiring: the captured values that require grad.
        draws: whether the function draws random numbers; a graph of such a one that is not keyed is of no use.
    """

    name: str
    graph: Graph
    inputs: int
    captured: dict[Value, Value]
    requires_grad: tuple[bool, ...]
    structure: Structure
    requiring: frozenset[Value]
    draws: bool
    is_keyed: bool

    @property
    def types(self) -> tuple[TensorType, ...]:
        """The types of the results."""
        return tuple(o.type for o in self.graph.outputs[self.is_keyed :] if isinstance(o, Value))


#: `record_body`, or what capture puts in its place
BodyMaker = Callable[..., RecordedBody]


class Draws(Enum):
    """What becomes of random numbers that a function draws."""

    REFUSED = auto()
    #: the recorded body says whether there are any, and is not to be used if there are
    NOTED = auto()
    KEYED = auto()


def record_body(
    outer: Recorder,
    name: str,
    function: Callable[..., Any],
    inputs: Sequence[Input],
    draws: Draws = Draws.REFUSED,
) -> RecordedBody:
    """Call `function` on handles of a graph of its own inside that of `outer`.

    Raises:
        ControlFlowError: it writes to a tensor from outside, draws random numbers, or leaves grad mode changed.
    """
    recorder = BodyRecorder(name, outer, draws)
    handles = [recorder.input(i) for i in inputs]
    mode = outer.grad_enabled
    with recorder.active():
        result = function(*handles)
        changed, outer.grad_enabled = outer.grad_enabled is not mode, mode
        if changed:
            raise ControlFlowError(f"{name} leaves grad mode switched")
        leaves, structure = flatten(result)
        outputs = [recorder.inside(leaf) for leaf in leaves]
    keys = [] if recorder.key is None else [recorder.key]
    return RecordedBody(
        name,
        recorder.builder.output(*(o.value for o in (*keys, *outputs))),
        len(inputs) + len(keys),
        {value: handle.value for value, handle in recorder.captured.items()},
        tuple(o.requires_grad for o in outputs),
        structure,
        frozenset(value for value, handle in recorder.captured.items() if handle.requires_grad),
        recorder.has_drawn,
        bool(keys),
    )


def closed(bodies: Sequence[RecordedBody]) -> tuple[list[Graph], tuple[Value, ...]]:
    """The graphs of the bodies of one node, which all take the same captured values at the end; and those values."""
    captured = tuple(dict.fromkeys(value for body in bodies for value in body.captured))
    return [_taking(body, captured) for body in bodies], captured


def _taking(body: RecordedBody, captured: Sequence[Value]) -> Graph:
    """The graph of a body with the captured values as its last inputs, in this order, whether it uses them or not."""
    if list(body.captured) == list(captured):
        return body.graph
    rebuilder = Rebuilder(body.graph)
    for placeholder in body.graph.placeholders[: body.inputs]:
        rebuilder.copy(placeholder.node)
    for value in captured:
        new = rebuilder.builder.placeholder(value.type)
        if value in body.captured:
            rebuilder.mapping[body.captured[value]] = new
    for node in body.graph.nodes:
        if node.op != "placeholder":
            rebuilder.copy(node)
    return rebuilder.graph


class BodyRecorder(Recorder):
    """Records a graph inside that of `outer`."""

    def __init__(self, name: str, outer: Recorder, draws: Draws = Draws.REFUSED) -> None:
        self.outer = outer
        super().__init__(Builder(name))
        #: what was taken in, by its value in the enclosing graph
        self.captured: dict[Value, Traced] = {}
        self.draws = draws
        self.has_drawn = False
        #: of the next draw
        self.key = self.traced(self.builder.placeholder(KEY, "key")) if draws is Draws.KEYED else None

    @property
    def grad_enabled(self) -> bool:
        """There is one grad mode, that of the outermost recorder."""
        return self.outer.grad_enabled

    @grad_enabled.setter
    def grad_enabled(self, mode: bool) -> None:
        self.outer.grad_enabled = mode

    def is_within(self, other: Recorder) -> bool:
        return self is other or self.outer.is_within(other)

    @contextmanager
    def active(self) -> Iterator[None]:
        with NESTED.pushed(self), super().active():
            yield

    def input(self, description: Input) -> Traced:
        value = self.builder.placeholder(description.type)
        if description.strides is not None:
            self.strides[value] = description.strides
        return self.traced(value, description.requires_grad)

    def as_rows(self, op: Definition, operands: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return self.outer.as_rows(op, operands)

    def prepared(
        self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return self.outer.prepared(op, operands, attrs)

    def handle(self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        if isinstance(op, Effect) and op.draws_key(attrs):
            key = self.begin_draws()
            self.end_draws(key, key + self.constant(np.array([0, 1])))
            return key
        if op.kind is Kind.EFFECT and not op.mutates:
            raise ControlFlowError(
                f"{self.builder.graph.name} calls {op.name}, whose effect depends on how often it runs; "
                "draw from the default generator, or before, and pass the numbers in"
            )
        self.builder.location = self.outer.builder.location
        return super().handle(op, operands, attrs)

    def begin_draws(self) -> Traced:
        if self.draws is Draws.REFUSED:
            name = self.builder.graph.name
            raise ControlFlowError(f"{name} draws random numbers; draw them before, and pass them in")
        self.has_drawn = True
        return self.constant(np.zeros(2, np.int64)) if self.key is None else self.key

    def end_draws(self, first: Traced, next: Traced) -> None:
        if self.draws is Draws.KEYED:
            self.key = next

    def check_write(self, target: Traced) -> None:
        root = self.inside(target).value
        while root.node.is_call and root.node.call_op.kind is Kind.VIEW:
            root = root.node.operands[0]
        if not root.node.is_call:
            raise ControlFlowError(
                f"{self.builder.graph.name} writes to a tensor from outside, {target.type}; clone() it first, or "
                "return the new elements"
            )

    def inside(self, tensor: Handle) -> Traced:
        if isinstance(tensor, Traced) and tensor.recorder is self:
            return tensor
        outer = self.outer.inside(tensor)
        known = self.captured.get(outer.value)
        if known is not None:
            return known
        array = outer.value.node.target
        if isinstance(array, np.ndarray):
            return self.constant(array)
        handle = self.traced(self.builder.placeholder(outer.type), outer.requires_grad)
        self.strides[handle.value] = self.outer.strides_of(outer.value)
        self.captured[outer.value] = handle
        return handle
