"""Gradients of control flow: nodes whose graphs are differentiated like any graph.

cond       the cond of the branches' gradients, each of which computes again what it needs of its branch
scan       a scan the other way round, over values that the forward scan saves at every step
while_loop none: nothing bounds what would have to be saved

%1: f32[], %2: f32[9] = scan(%c, %xs, body=graph (%c, %x) { %0 = mul(%c, %x); return %0, %0 }, ...)
-->
%1: f32[], %2: f32[9], %3: f32[9] = scan(%c, %xs, body=graph (%c, %x) { ...; return %0, %0, %c }, ...)
%4: f32[], %5: f32[9] = scan(%t, %xs, %3, %u, body=graph (%t, %x, %c, %u) { %0 = add(%t, %u); ... }, reverse=true)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from tracegraph.aot.dataflow import needed
from tracegraph.aot.joint import Joint, differentiate
from tracegraph.aot.partition import partition_default
from tracegraph.errors import AutogradError
from tracegraph.ir import Builder, Graph, Node, Operand, Rebuilder, TensorType, Value
from tracegraph.ir.subgraphs import sizes_of
from tracegraph.ops import functional as F
from tracegraph.ops.control.cond import Cond
from tracegraph.ops.control.kind import ControlFlow
from tracegraph.ops.control.scan import Scan
from tracegraph.ops.control.while_loop import NO_GRADIENT
from tracegraph.ops.core.dispatch import dispatch
from tracegraph.ops.graphs.recording import Recorder, Traced

#: of every result or operand, a handle or None
Handles: TypeAlias = Sequence[Traced | None]


class Gradient(ABC):
    """How one call is differentiated.

    Args:
        attrs: the attributes of the call.
        tracked: which operands require grad.

    Attributes:
        attrs: the attributes of the call to make in its place, which may have further results.
        outputs: the number of the call's own results.
        results: which results, the further ones among them, depend on operands that require grad.
        order: positions of the operands that require grad in the order in which the tape of eager code reaches them.
    """

    attrs: dict[str, Any]
    outputs: int
    results: tuple[bool, ...]
    order: Sequence[int]

    @abstractmethod
    def __init__(self, attrs: dict[str, Any], tracked: Sequence[bool]) -> None: ...

    @abstractmethod
    def gradients(self, node: Node, operands: Sequence[Traced], results: Handles, cotangents: Handles) -> Handles:
        """Gradients of the operands, recorded where the handles are; None where there is none."""


def gradient_of(op: ControlFlow, attrs: dict[str, Any], tracked: Sequence[bool]) -> Gradient:
    """How a call is differentiated.

    Raises:
        AutogradError: not at all.
    """
    rule = _RULES.get(type(op))
    if rule is None:
        raise AutogradError(f"{op.name} in a graph {NO_GRADIENT}")
    return rule(attrs, tracked)


# --------------------------------------------------------------------------------------------- cond


class CondGradient(Gradient):
    """The cond of the branches' gradients."""

    def __init__(self, attrs: dict[str, Any], tracked: Sequence[bool]) -> None:
        self.attrs = attrs
        self.tracked = tracked[1:]
        joints = [differentiate(attrs[name], self.tracked) for name in Cond.bodies]
        self.outputs = joints[0].outputs
        self.results = tuple(any(i in j.differentiable for j in joints) for i in range(self.outputs))
        self.order = [i + 1 for i in joints[0].requiring]  # of the branches, the one that is taken with True

    def gradients(self, node: Node, operands: Sequence[Traced], results: Handles, cotangents: Handles) -> Handles:
        given = [i for i, c in enumerate(cotangents) if c is not None]
        wanted = [c is not None for c in cotangents]
        joints = [differentiate(self.attrs[name], self.tracked, wanted) for name in Cond.bodies]
        found = [dict(zip(j.requiring, j.gradients, strict=True)) for j in joints]
        positions = [i for i, t in enumerate(self.tracked) if t and any(f.get(i) is not None for f in found)]
        gradients: list[Traced | None] = [None] * len(operands)
        if not positions:
            return gradients
        graphs = [_branch_gradient(joint, given, positions) for joint in joints]
        takes = [i for i, _ in enumerate(graphs[0].placeholders) if any(g.placeholders[i].users for g in graphs)]
        graphs = [_taking(graph, takes) for graph in graphs]
        every = (*operands[1:], *(cotangents[i] for i in given))
        packed = dispatch(
            node.call_op,  # type: ignore[arg-type]
            (operands[0], *(every[i] for i in takes)),
            {**dict(zip(Cond.bodies, graphs, strict=True)), "sizes": sizes_of(graphs)},
        )
        for position, gradient in zip(positions, _listed(packed), strict=True):
            gradients[position + 1] = gradient
        return gradients


def _branch_gradient(joint: Joint, given: Sequence[int], positions: Sequence[int]) -> Graph:
    """From the operands of a branch and the cotangents of its outputs `given` to the gradients of the operands at
    `positions`, zeros where the branch has none.
    """
    inlined = _Inlined(f"{joint.graph.name}.backward")
    operands = [inlined.input(p.type) for p in joint.primals]
    cotangents = {i: inlined.input(joint.results[i].type) for i in given}  # type: ignore[union-attr]
    values = dict(zip(joint.primals, operands, strict=True))
    values |= {c: cotangents[i] for c, i in zip(joint.cotangents, joint.differentiable, strict=True)}
    gradients = dict(zip(joint.requiring, inlined.copy(joint.graph, values, joint.gradients), strict=True))
    return inlined.output(
        gradients[i] if gradients.get(i) is not None else inlined.zeros(joint.primals[i].type) for i in positions
    )


def _taking(graph: Graph, positions: Sequence[int]) -> Graph:
    """`graph` without the inputs that are not at `positions`, which it does not use."""
    rebuilder = Rebuilder(graph)
    for i in positions:
        rebuilder.copy(graph.placeholders[i].node)
    for node in graph.nodes:
        if node.op != "placeholder":
            rebuilder.copy(node)
    return rebuilder.graph


# --------------------------------------------------------------------------------------------- scan


class ScanGradient(Gradient):
    """A scan the other way round.

    The body is differentiated and cut like a whole graph. Its forward half returns the saved values at every step;
    those of its inputs that the backward half takes are at hand, except the carry, which is returned too.
    """

    def __init__(self, attrs: dict[str, Any], tracked: Sequence[bool]) -> None:
        self.carried, self.scanned, self.reverse = attrs["carried"], attrs["scanned"], attrs["reverse"]
        self.joint = _stable_joint(attrs["body"], self.carried, list(tracked))
        self.partition = partition_default(self.joint)
        self.outputs = self.joint.outputs
        #: inputs that backward takes and that change from step to step without being scanned
        self.kept_carries = [i for i in self.partition.saved_inputs if i < self.carried]
        forward = self.partition.forward
        returned = list(forward.outputs[: self.joint.outputs])
        #: which result of the scan holds, stacked, each value saved by forward, then each of those inputs
        self.kept_in: list[int] = []
        for value in (*forward.outputs[self.joint.outputs :], *(forward.placeholders[i] for i in self.kept_carries)):
            if value not in returned[self.carried :]:
                returned.append(value)
            self.kept_in.append(returned.index(value, self.carried))
        body = _returning(forward, returned)
        self.attrs = {**attrs, "body": body, "sizes": sizes_of([body])}
        again = differentiate(body, [i in self.joint.requiring for i in range(self.joint.inputs)])
        self.results = tuple(i in again.differentiable for i in range(again.outputs))
        # the last step, then the first one, then what took what is scanned apart, the last operand first
        end, requiring = self.carried + self.scanned, self.joint.requiring
        self.order = [i for i in requiring if i >= end] + [i for i in requiring if i < self.carried]
        self.order += reversed(range(self.carried, end))

    def gradients(self, node: Node, operands: Sequence[Traced], results: Handles, cotangents: Handles) -> Handles:
        step = _BackwardStep(self, operands, results, cotangents)
        body = step.finish()
        xs = list(step.scanned.values()) or [operands[self.carried]]
        packed = dispatch(
            node.call_op,  # type: ignore[arg-type]
            (*step.carry.values(), *xs, *step.constants.values()),
            {
                "body": body,
                "carried": len(step.carry),
                "scanned": len(xs),
                "reverse": not self.reverse,
                "sizes": sizes_of([body]),
            },
        )
        gradients: list[Traced | None] = [None] * len(operands)
        for position, gradient in zip((*step.carry, *step.emitted), _listed(packed), strict=True):
            gradients[position] = gradient
        return gradients


def _stable_joint(body: Graph, carried: int, tracked: list[bool]) -> Joint:
    """The joint graph of a body, every carry tracked that is so after some number of steps."""
    while True:
        joint = differentiate(body, tracked)
        later = [t or i in joint.differentiable for i, t in enumerate(tracked[:carried])]
        if later == tracked[:carried]:
            return joint
        tracked[:carried] = later


def _returning(graph: Graph, values: Sequence[Operand]) -> Graph:
    """`graph` with these of its values as outputs."""
    rebuilder = Rebuilder(graph)
    for node in graph.nodes[:-1]:
        rebuilder.copy(node)
    rebuilder.builder.location = None
    return rebuilder.builder.output(*map(rebuilder.operand, values))


class _BackwardStep:
    """The body of the backward scan, and what it runs on.

    Attributes:
        carry: by position of the operand whose gradient it is, what the first step is given: the cotangents of the
            carry, and sums, which begin with zeros, of the gradients of constants.
        scanned: what is scanned.
        constants: what every step is given.
        emitted: positions of the scanned operands whose gradients the steps return.
    """

    def __init__(self, scan: ScanGradient, operands: Sequence[Traced], results: Handles, cotangents: Handles) -> None:
        self.scan = scan
        self.operands = operands
        self.results = results
        self.cotangents = cotangents
        self.joint, self.partition = scan.joint, scan.partition
        self.inlined = _Inlined(f"{self.joint.graph.name}.backward")
        gradients = self.partition.backward.outputs
        self.wanted = sorted(
            i for i, g in zip(self.joint.requiring, gradients, strict=True) if i < scan.carried or g is not None
        )
        self.emitted = [i for i in self.wanted if scan.carried <= i < scan.carried + scan.scanned]
        self.carry = {i: self._start(i) for i in self.wanted if i not in self.emitted}
        self.states = {i: self.inlined.input(handle.type) for i, handle in self.carry.items()}
        self.scanned: dict[object, Traced] = {}
        self.slices: dict[object, Value] = {}
        self._scan_results()
        self.constants = {i: operands[i] for i in self.partition.saved_inputs if i >= scan.carried + scan.scanned}

    def _start(self, position: int) -> Traced:
        known = self.cotangents[position] if position < self.scan.carried else None
        type = self.operands[position].type
        return known if known is not None else F.zeros(type.shape, dtype=type.dtype)

    def _scan_results(self) -> None:
        """What is scanned: operands, values saved by the forward scan, cotangents of its stacked results."""
        scan, end = self.scan, self.scan.carried + self.scan.scanned
        kept = [self.results[n] for n in scan.kept_in]
        saved = len(kept) - len(scan.kept_carries)
        columns: dict[object, Traced | None] = {
            i: self.operands[i] for i in self.partition.saved_inputs if scan.carried <= i < end
        }
        columns |= {("saved", n): column for n, column in enumerate(kept[:saved])}
        columns |= dict(zip(scan.kept_carries, kept[saved:], strict=True))
        columns |= {("cotangent", i): self.cotangents[i] for i in self.joint.differentiable if i >= scan.carried}
        self.scanned = {key: column for key, column in columns.items() if column is not None}
        for key, column in self.scanned.items():
            self.slices[key] = self.inlined.input(column.type.with_shape(column.type.shape[1:]))

    def finish(self) -> Graph:
        """The body."""
        if not self.scanned:  # nothing is saved: what is scanned only counts the steps
            first = self.operands[self.scan.carried].type
            self.inlined.input(first.with_shape(first.shape[1:]))
        constants = {i: self.inlined.input(handle.type) for i, handle in self.constants.items()}
        inputs = [constants[i] if i in constants else self.slices[i] for i in self.partition.saved_inputs]
        saved = [value for key, value in self.slices.items() if isinstance(key, tuple) and key[0] == "saved"]
        cotangents = [self._cotangent(i) for i in self.joint.differentiable]
        backward = self.partition.backward
        values = dict(zip(backward.placeholders, (*inputs, *saved, *cotangents), strict=True))
        found = dict(zip(self.joint.requiring, self.inlined.copy(backward, values, backward.outputs), strict=True))
        carry = [self._next(i, found[i]) for i in self.carry]
        return self.inlined.output((*carry, *(found[i] for i in self.emitted)))

    def _cotangent(self, output: int) -> Value:
        """The cotangent of an output of the body at one step."""
        if output < self.scan.carried:
            return self.states[output]
        known = self.slices.get(("cotangent", output))
        result = self.joint.results[output]
        assert isinstance(result, Value)
        return self.inlined.zeros(result.type) if known is None else known

    def _next(self, position: int, gradient: Operand) -> Operand:
        """The carry of the backward scan after a step."""
        if position < self.scan.carried:
            return self.inlined.zeros(self.operands[position].type) if gradient is None else gradient
        return self.inlined.sum(self.states[position], gradient)


# --------------------------------------------------------------------------------------------- building


class _Inlined:
    """A graph made of copies of others."""

    def __init__(self, name: str) -> None:
        self.builder = Builder(name)
        self.recorder = Recorder(self.builder)

    def input(self, type: TensorType) -> Value:
        return self.builder.placeholder(type)

    def zeros(self, type: TensorType) -> Value:
        with self.recorder.active():
            found: Traced = F.zeros(type.shape, dtype=type.dtype)
        return found.value

    def sum(self, a: Value, b: Operand) -> Value:
        found: Traced = F.add(*(self.recorder.traced(v) for v in (a, b)))  # type: ignore[arg-type]
        return found.value

    def copy(self, graph: Graph, values: Mapping[Value, Value], wanted: Sequence[Operand]) -> list[Operand]:
        """Copy of `graph` what computes `wanted` from `values`; the copies of these."""
        rebuilder = Rebuilder(graph)
        rebuilder.builder = self.builder
        rebuilder.mapping.update(values)
        nodes = needed(wanted, graph)
        for node in graph.nodes:
            if node in nodes and node.op != "placeholder":
                rebuilder.copy(node)
        return [rebuilder.operand(o) for o in wanted]

    def output(self, values: Any) -> Graph:
        self.builder.location = None
        return self.builder.output(*values)


def _listed(packed: Any) -> list[Traced]:
    return list(packed) if isinstance(packed, tuple) else [packed]


_RULES: dict[type, type[Gradient]] = {Cond: CondGradient, Scan: ScanGradient}
