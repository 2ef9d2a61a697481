"""The joint graph: a pure graph, and the gradients of its inputs from the cotangents of its outputs.

    graph f(%x: f32[4] primal) {             graph f(%x: f32[4] primal, %t0: f32[4] cotangent) {
      %0: f32[4] = exp(%x)            -->      %0: f32[4] = exp(%x)
      return %0                                %1: f32[4] = mul(%t0, %0)
    }                                          return %0, %1
                                             }

The gradient formulas are those of the eager tape, in its order (`ops/graphs/backward_pass.py`). What they read is
noted, so that whoever runs the compiled graph can refuse what the tape refuses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tracegraph.aot.dataflow import needed
from tracegraph.aot.reads import FormulaRead, Keeps, Read, aliased_reads, readers_by_value, tensors_of_inputs
from tracegraph.aot.record import Held
from tracegraph.aot.written_formulas import pure_pullback
from tracegraph.ir import Builder, Graph, Node, Operand, Role, Value
from tracegraph.ops.control.kind import ControlFlow
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.backward_pass import BackwardPass, Step, formula_reads, read_results
from tracegraph.ops.graphs.recording import Recorder, Traced

if TYPE_CHECKING:
    from tracegraph.aot.control_flow import Gradient


class Arrival(NamedTuple):
    """A gradient formula sends a gradient to an input.

    Attributes:
        gradient: the number of the input among those that require grad.
        cotangents: numbers of the cotangents that reach the formula.
    """

    gradient: int
    cotangents: frozenset[int]


class Inspection(NamedTuple):
    """The gradient of an output, which whoever runs the graph looks at and may change before it goes on.

    Attributes:
        output: the position of the output.
        gradient: its whole gradient.
        changed: the placeholder, behind `gradient` in the graph, of what goes on in its place.
    """

    output: int
    gradient: Value
    changed: Value


@dataclass(frozen=True)
class Joint:
    """A joint graph: takes the inputs of the primal graph and one cotangent per differentiable output; returns the
    outputs of the primal graph, one gradient (or None) per input that requires grad, and the kept values if asked for.

    Attributes:
        inputs: the number of inputs of the primal graph.
        outputs: the number of its outputs.
        differentiable: positions of the outputs that depend on inputs that require grad, in the order of cotangents.
        requiring: positions of the inputs that require grad, in the order of gradients, which is that in which the
            tape reaches them.
        reads: which inputs and outputs the gradient formulas read, in the order in which the tape evaluates them.
        with_history: which of the kept values depend on inputs that require grad.
        sources: for each gradient, the numbers of the cotangents it comes from.
        arrivals: what reaches inputs, in the order of the tape.
        output_sources: the same for the gradients of the differentiable outputs themselves; without their own
            cotangent where they pass it on as it is.
        asks_presence: whether gradients depend on which cotangents there are, in another way than by zeros for others.
        not_from_zeros: the sets of cotangents that formulas are reached by which may make something of zeros.
        inspections: of the gradients of outputs, in the order of the backward pass.
        meetings: the sets of cotangents of which one operation or another is reached for which elements are kept.
        input_cotangents: for each input, the numbers of the cotangents that reach formulas whose values depend on its
            elements as of forward; of the others, gradients are the same whatever it held.
        held: the values of `graph` in memory that others can write to or that the call has overwritten.
    """

    graph: Graph
    inputs: int
    outputs: int
    differentiable: tuple[int, ...]
    requiring: tuple[int, ...]
    reads: tuple[Read, ...] = ()
    with_history: tuple[bool, ...] = ()
    sources: tuple[frozenset[int], ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    output_sources: tuple[frozenset[int], ...] = ()
    asks_presence: bool = False
    not_from_zeros: frozenset[frozenset[int]] = frozenset()
    inspections: tuple[Inspection, ...] = ()
    meetings: frozenset[frozenset[int]] = frozenset()
    input_cotangents: tuple[frozenset[int], ...] = ()
    held: tuple[Held, ...] = ()

    def __str__(self) -> str:
        return str(self.graph)

    @property
    def primals(self) -> tuple[Value, ...]:
        return self.graph.placeholders[: self.inputs]

    @property
    def cotangents(self) -> tuple[Value, ...]:
        return self.graph.placeholders[self.inputs :]

    @property
    def results(self) -> tuple[Operand, ...]:
        return self.graph.outputs[: self.outputs]

    @property
    def gradients(self) -> tuple[Operand, ...]:
        return self.graph.outputs[self.outputs : self.outputs + len(self.requiring)]

    @property
    def kept(self) -> tuple[Operand, ...]:
        """The primal values that gradient formulas of any order read."""
        return self.graph.outputs[self.outputs + len(self.requiring) :]

    @property
    def kept_tensors(self) -> list[int | None]:
        """For each kept value, the position of the input that it is to the tape, if there is one."""
        return tensors_of_inputs(self.kept, self.primals, self.held)


def differentiate(
    graph: Graph,
    requires_grad: Sequence[bool],
    cotangents: Sequence[bool] | None = None,
    keep: bool = False,
    held: Sequence[Held] = (),
    inspected: Collection[int] = (),
) -> Joint:
    """The joint graph of the pure graph `graph`.

    Args:
        requires_grad: which inputs require grad.
        cotangents: which outputs get a cotangent, if they are differentiable at all; by default all of them.
        keep: also return the primal values that gradient formulas of any order read.
        held: values of `graph` in memory that others can write to or that the call has overwritten; of other
            values, inputs and outputs are such memory.
        inspected: positions of outputs whose gradient, where it has one, is handed out and taken back.

    Raises:
        IRError: an op on the way has a gradient rule that does not fit its operands.
    """
    tracer = _ForwardTracer(Builder(graph.name))
    handles = _forward(graph, tracer, requires_grad)
    forward_nodes = tuple(tracer.builder.graph.nodes)
    results = [handles[v].value if isinstance(v, Value) else v for v in graph.outputs]
    differentiable = tuple(
        i
        for i, v in enumerate(graph.outputs)
        if isinstance(v, Value) and handles[v].requires_grad and (cotangents is None or cotangents[i])
    )
    tensors = {i: v for i, v in enumerate(results) if isinstance(v, Value)}
    backward = _Backward(tracer, [tensors[i] for i in differentiable], {tensors[i]: i for i in inspected})
    with tracer.active():
        backward.undo(forward_nodes)
    primals = [handles[p].value for p in graph.placeholders]
    requiring, arrivals = _in_order([v for v in primals if v in tracer.tracked], backward.arrivals)
    gradients = [g.value if (g := backward.gradients.get(v)) is not None else None for v in requiring]
    kept = _kept(forward_nodes, backward, [*gradients, *backward.connecting()]) if keep else ()
    joint = tracer.builder.output(*results, *gradients, *kept)
    places = tuple(replace(h, value=handles[h.value].value) for h in held)
    reads = aliased_reads(backward.reads, primals, results, places)
    readers = readers_by_value(backward.reads, forward_nodes)
    return Joint(
        joint,
        inputs=len(primals),
        outputs=len(results),
        differentiable=differentiable,
        requiring=tuple(map(primals.index, requiring)),
        reads=tuple(reads),
        with_history=tuple(v in tracer.tracked for v in kept),
        sources=tuple(backward.sources.get(v, frozenset()) for v in requiring),
        arrivals=arrivals,
        output_sources=backward.output_sources,
        asks_presence=backward.asks_presence,
        not_from_zeros=frozenset(backward.not_from_zeros),
        inspections=tuple(backward.inspections),
        meetings=frozenset(backward.meetings),
        input_cotangents=tuple(readers.get(p, frozenset()) for p in primals),
        held=places,
    )


def _in_order(
    requiring: Sequence[Value], arrivals: Sequence[tuple[Value, frozenset[int]]]
) -> tuple[list[Value], tuple[Arrival, ...]]:
    """Inputs that require grad in the order in which gradients reach them, those that none reaches last; and arrivals
    by their numbers.
    """
    reached = dict.fromkeys(v for v, _ in arrivals)
    ordered = [*reached, *(v for v in requiring if v not in reached)]
    numbers = {v: i for i, v in enumerate(ordered)}
    return ordered, tuple(Arrival(numbers[v], cotangents) for v, cotangents in dict.fromkeys(arrivals))


def _forward(graph: Graph, tracer: _ForwardTracer, requires_grad: Sequence[bool]) -> dict[Value, Traced]:
    """Copy `graph` into the tracer's, op by op; the handles of its values know which of them require grad."""
    builder = tracer.builder
    handles: dict[Value, Traced] = {}
    for old, required in zip(graph.placeholders, requires_grad, strict=True):
        builder.location = old.node.location
        value = builder.placeholder(old.type, old.node.name, old.role or Role.PRIMAL)
        handles[old] = tracer.traced(value, required and old.type.dtype.is_floating)
    for node in graph.nodes:
        builder.location = node.location
        if isinstance(node.target, np.ndarray):
            handles[node.value] = tracer.constant(node.target)
        elif isinstance(node.target, Definition):
            operands = tuple(handles[a] if isinstance(a, Value) else a for a in node.args)
            results = tracer.handle(node.target, operands, dict(node.attrs))
            packed = results if isinstance(results, tuple) else (results,)
            handles.update(zip(node.values, packed, strict=True))
    return handles


class _ForwardTracer(Recorder):
    """Records the primal computation; on the way of a gradient, ops without a `vjp` give way to their decomposition."""

    def __init__(self, builder: Builder) -> None:
        super().__init__(builder)
        #: results of calls, and inputs, that require grad
        self.tracked: set[Value] = set()
        #: how nodes that hold graphs are differentiated
        self.control_flow: dict[Node, Gradient] = {}

    def traced(self, value: Value, requires_grad: bool = False) -> Traced:
        if requires_grad:
            self.tracked.add(value)
        return super().traced(value, requires_grad)

    def handle(self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        if isinstance(op, ControlFlow) and any(map(_requires_grad, operands)):
            return self._control_flow(op, operands, attrs)
        if op.vjp is None and op.decompose is not None and any(_requires_grad(o) for o in operands):
            with self.active():
                return op.expand(operands, attrs)
        results = super().handle(op, operands, attrs)
        packed = results if isinstance(results, tuple) else (results,)
        self.tracked.update(r.value for r in packed if _requires_grad(r))
        return results

    def _control_flow(self, op: ControlFlow, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        """Record control flow in a form that can be differentiated; its own results."""
        from tracegraph.aot.control_flow import gradient_of

        gradient = gradient_of(op, attrs, [_requires_grad(o) for o in operands])
        packed = super().handle(op, operands, gradient.attrs)
        every = packed if isinstance(packed, tuple) else (packed,)
        self.control_flow[every[0].value.node] = gradient
        for result, requires_grad in zip(every, gradient.results, strict=True):
            result.requires_grad = requires_grad
        self.tracked.update(r.value for r in every if r.requires_grad)
        return op.pack(every[: gradient.outputs])


def _requires_grad(operand: Any) -> bool:
    return isinstance(operand, Traced) and operand.requires_grad


class _Backward(BackwardPass):
    """The backward pass that also notes what its gradients come from, and what its formulas read.

    Args:
        results: the values that it starts from, each with a cotangent.
        inspected: values whose gradient is handed out, with their positions among the outputs.

    Attributes:
        sources: numbers of the cotangents that a gradient comes from, by value.
        arrivals: the inputs that gradients have been sent to, and the numbers of the cotangents that brought them.
        reads: what the formulas evaluated so far read, by the account they give to the tape.
        asks_presence: whether one of them asks which results have a gradient.
        not_from_zeros: the numbers of the cotangents that reach a node whose gradients may make something of zeros.
        inspected: the position, among the outputs, of each value whose gradient is handed out.
        inspections: what has been handed out so far.
        meetings: for every node for which the tape keeps elements, the numbers of the cotangents that reach it.
    """

    def __init__(self, tracer: _ForwardTracer, results: Sequence[Value], inspected: Mapping[Value, int]) -> None:
        super().__init__(tracer, tracer.tracked)
        self._control_flow = tracer.control_flow
        #: what formulas read in the place of values whose memory has other elements in backward
        self._read_as = {
            n.args[op.read_for]: n.value
            for n in tracer.builder.graph.nodes
            if isinstance(op := n.target, Definition) and op.read_for is not None
        }
        self._results = results
        self.sources: dict[Value, frozenset[int]] = {}
        self.arrivals: list[tuple[Value, frozenset[int]]] = []
        self.reads: list[FormulaRead] = []
        self.asks_presence = False
        self.not_from_zeros: set[frozenset[int]] = set()
        self.inspected = {_without_hooks(v): i for v, i in inspected.items()}
        self.inspections: list[Inspection] = []
        self.meetings: set[frozenset[int]] = set()
        tracer.builder.location = None
        for number, result in enumerate(results):
            cotangent = tracer.builder.placeholder(result.type, f"t{number}", Role.COTANGENT)
            self.accumulate(result, tracer.traced(cotangent))
            self._add_sources(result, frozenset({number}))

    @property
    def output_sources(self) -> tuple[frozenset[int], ...]:
        """For each result, the numbers of the cotangents that its gradient comes from; without its own where that is
        passed on as it is.
        """
        bare = map(_without_hooks, self._results)
        return tuple(
            self.sources.get(b, frozenset()) - ({n} if b is r else frozenset())
            for n, (r, b) in enumerate(zip(self._results, bare, strict=True))
        )

    def connecting(self) -> list[Value]:
        """The gradients of results that come from other cotangents too."""
        zipped = zip(self._results, self.output_sources, strict=True)
        return [self.gradients[_without_hooks(r)].value for r, others in zipped if others]

    def visit(self, node: Node) -> list[Value]:
        for value in node.values:
            if value in self.inspected and value in self.gradients:
                self._hand_out(value)
        reached = super().visit(node)
        if node in self._control_flow:
            order = [node.args[position] for position in self._control_flow[node].order]
            reached.sort(key=order.index)
        for operand in reached:
            self._add_sources(operand, self._sources_of(node))
        return reached

    def pullback(self, step: Step) -> Sequence[Traced | None]:
        node, sources = step.node, self._sources_of(step.node)
        if self._read_as and step.op.read_for is None:
            step = self._as_in_backward(step)
        if node in self._control_flow or _keeps_elements(node, step.op):
            self.meetings.add(sources)
        if not step.op.gives_zeros_for_zeros(node.attrs):
            self.not_from_zeros.add(sources)
        if node in self._control_flow:
            return self._through_control_flow(step, sources)
        self.asks_presence |= step.op.asks_presence(node.attrs)

        self.reads += [
            FormulaRead(operand, "an operand", step.op.name, sources, is_live=True)
            for position in step.op.unversioned_operands(node.attrs)
            if isinstance(operand := node.args[position], Value)
        ]

        def on_read(names: Collection[str]) -> None:
            self.reads += [
                FormulaRead(v, what, called, sources, keeps=_kept_for(step.op, operand))
                for v, operand in formula_reads(node, step.op, names)
                for what, called in [step.op.reads_as or (operand, step.op.name)]
            ]

        if step.op.formula_may_write:
            return pure_pullback(step, self.recorder, on_read)
        return step.op.pullback(step.cotangents, step.results, step.operands, dict(node.attrs), step.needs, on_read)

    def _as_in_backward(self, step: Step) -> Step:
        """A step with what its formula reads in the place of values that have changed since."""

        def handle(value: Any, before: Any) -> Any:
            return self.handle(self._read_as[value]) if value in self._read_as else before

        return step._replace(
            results=tuple(map(handle, step.node.values, step.results)),
            operands=tuple(map(handle, step.node.args, step.operands)),
        )

    def _through_control_flow(self, step: Step, sources: frozenset[int]) -> list[Traced | None]:
        """The gradients of a node that holds graphs; what the nodes recorded for them use of its operands is read."""
        node, nodes = step.node, self.recorder.builder.graph.nodes
        before = len(nodes)
        found = self._control_flow[node].gradients(node, step.operands, step.results, step.cotangents)
        used = {o for new in nodes[before:] for o in new.operands}
        self.reads += [
            FormulaRead(o, "an operand", step.op.name, sources, keeps=Keeps.PARTS)
            for o in dict.fromkeys(node.operands)
            if o in used
        ]
        # what is carried may get a history in the course of a loop without having one at its start
        return [gradient if is_needed else None for gradient, is_needed in zip(found, step.needs, strict=True)]

    def _hand_out(self, value: Value) -> None:
        """Let the gradient of `value` be what is given for it; all that it is the sum of is known."""
        output = self.inspected[value]
        changed = self.recorder.builder.placeholder(value.type, f"changed{output}", Role.COTANGENT)
        self.inspections.append(Inspection(output, self.gradients[value].value, changed))
        self.gradients[value] = self.recorder.traced(changed)

    def _add_sources(self, value: Value, sources: frozenset[int]) -> None:
        if value.node.op == "placeholder" and value in self.tracked:
            self.arrivals.append((value, sources))
        self.sources[value] = self.sources.get(value, frozenset()) | sources

    def _sources_of(self, node: Node) -> frozenset[int]:
        return frozenset[int]().union(*(self.sources[v] for v in node.values if v in self.sources))


def _keeps_elements(node: Node, op: Definition) -> bool:
    """Whether the tape keeps elements for the gradient formula of `node`."""
    operands, results = op.vjp_reads(len(node.args))
    kept = (a for a, is_kept in zip(node.args, operands, strict=True) if is_kept)
    return (results and bool(read_results(node, op))) or any(isinstance(a, Value) for a in kept)


def _kept_for(op: Definition, what: str) -> Keeps:
    """What the tape keeps of what a formula reads: of results the elements, unless the formula is a program's own."""
    return Keeps.ELEMENTS if what == "the result" and op.reads_as is None else Keeps.TENSOR


def _without_hooks(value: Value) -> Value:
    """The value whose gradient is that of `value` after the hooks that it has in the graph."""
    op = value.node.target
    position = op.hooked_operand(value.index, value.node.attrs) if isinstance(op, Definition) else None
    if position is None:
        return value
    operand = value.node.args[position]
    assert isinstance(operand, Value)
    return _without_hooks(operand)


def _kept(nodes: Sequence[Node], backward: _Backward, gradients: Sequence[Operand]) -> tuple[Value, ...]:
    """The values of the primal `nodes` that gradient formulas of any order read, in the order of the graph.

    A higher derivative goes through the same formulas again, from the values that they read; so what the first
    derivative reads suffices, except below values it reads and has no gradient of.
    """
    primal = {v for node in nodes if node.op != "constant" for v in node.values}
    graph = backward.recorder.builder.graph
    read = {o for node in needed(gradients, graph) - {v.node for v in primal} for o in node.operands}
    read |= {g for g in gradients if isinstance(g, Value)}
    tracked, reached = backward.tracked, set[Value]()
    for node in reversed(nodes):
        op = node.target
        if isinstance(op, ControlFlow) and not tracked.isdisjoint(node.values):
            read.update(node.operands)  # differentiated again, it runs again and saves more
        below = any(v in tracked and v not in backward.gradients and (v in read or v in reached) for v in node.values)
        if below and isinstance(op, Definition) and op.vjp is not None:
            operands, results = op.vjp_reads(len(node.args))
            read.update(o for o, is_read in zip(node.args, operands, strict=True) if is_read and isinstance(o, Value))
            read.update(read_results(node, op) if results else ())
            reached.update(o for o in node.operands if o in tracked)
    return tuple(v for node in nodes for v in node.values if v in primal and v in read)
