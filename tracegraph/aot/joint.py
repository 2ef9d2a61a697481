"""The joint graph: a pure graph, and the gradients of its inputs from the cotangents of its outputs.

    graph f(%x: f32[4] primal) {             graph f(%x: f32[4] primal, %t0: f32[4] cotangent) {
      %0: f32[4] = exp(%x)            -->      %0: f32[4] = exp(%x)
      return %0                                %1: f32[4] = mul(%t0, %0)
    }                                          return %0, %1
                                             }

The gradient formulas are those of the eager tape (`Op.vjp`, in tensor arithmetic), run on handles that record. The
order of accumulation is the tape's too, so that both give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegraph.ir import Builder, Graph, Node, Operand, Role, Value
from tracegraph.ops import functional as F
from tracegraph.ops.definition import Definition
from tracegraph.ops.recording import Recorder, Traced


@dataclass(frozen=True)
class Joint:
    """A joint graph: takes the inputs of the primal graph and one cotangent per differentiable output; returns the
    outputs of the primal graph and one gradient (or None) per input that requires grad.

    Attributes:
        inputs: the number of inputs of the primal graph.
        outputs: the number of its outputs.
        differentiable: positions of the outputs that depend on inputs that require grad, in the order of cotangents.
        requiring: positions of the inputs that require grad, in the order of gradients.
    """

    graph: Graph
    inputs: int
    outputs: int
    differentiable: tuple[int, ...]
    requiring: tuple[int, ...]

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
        return self.graph.outputs[self.outputs :]


def differentiate(graph: Graph, requires_grad: Sequence[bool], cotangents: Sequence[bool] | None = None) -> Joint:
    """The joint graph of the pure graph `graph`.

    Args:
        requires_grad: which inputs require grad.
        cotangents: which outputs get a cotangent, if they are differentiable at all; by default all of them.

    Raises:
        IRError: an op on the way has a gradient rule that does not fit its operands.
    """
    tracer = _ForwardTracer(Builder(graph.name))
    handles = _forward(graph, tracer, requires_grad)
    forward_nodes = tuple(tracer.builder.graph.nodes)
    backward = _Backward(tracer)
    tracer.builder.location = None
    differentiable = tuple(
        i
        for i, v in enumerate(graph.outputs)
        if isinstance(v, Value) and handles[v].requires_grad and (cotangents is None or cotangents[i])
    )
    results = [handles[v].value if isinstance(v, Value) else v for v in graph.outputs]
    for number, result in enumerate(results[i] for i in differentiable):
        assert isinstance(result, Value)
        cotangent = tracer.builder.placeholder(result.type, f"t{number}", Role.COTANGENT)
        backward.accumulate(result, tracer.traced(cotangent))
    for node in reversed(forward_nodes):
        backward.visit(node)
    requiring = tuple(i for i, p in enumerate(graph.placeholders) if handles[p].requires_grad)
    gradients = [backward.gradients.get(handles[graph.placeholders[i]].value) for i in requiring]
    joint = tracer.builder.output(*results, *(g.value if g is not None else None for g in gradients))
    return Joint(joint, len(graph.placeholders), len(results), differentiable, requiring)


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

    def traced(self, value: Value, requires_grad: bool = False) -> Traced:
        if requires_grad:
            self.tracked.add(value)
        return super().traced(value, requires_grad)

    def handle(self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        if op.vjp is None and op.decompose is not None and any(_requires_grad(o) for o in operands):
            with self.active():
                return op.expand(operands, attrs)
        results = super().handle(op, operands, attrs)
        packed = results if isinstance(results, tuple) else (results,)
        self.tracked.update(r.value for r in packed if _requires_grad(r))
        return results


def _requires_grad(operand: Any) -> bool:
    return isinstance(operand, Traced) and operand.requires_grad


class _Backward:
    """Undoes the primal computation, newest node first, and sums up the gradients of its values."""

    def __init__(self, tracer: _ForwardTracer) -> None:
        self.tracer = tracer
        self.gradients: dict[Value, Traced] = {}

    def accumulate(self, value: Value, gradient: Traced) -> None:
        known = self.gradients.get(value)
        self.gradients[value] = gradient if known is None else F.add(known, gradient)

    def visit(self, node: Node) -> None:
        """Send the cotangents of a node's results, if it has any, on to its operands."""
        cotangents = tuple(self.gradients.get(v) for v in node.values)
        op = node.target
        if not isinstance(op, Definition) or all(c is None for c in cotangents):
            return
        self.tracer.builder.location = node.location
        traced = self.tracer.traced
        operands = tuple(traced(a) if isinstance(a, Value) else a for a in node.args)
        needs = [a in self.tracer.tracked for a in node.args]
        with self.tracer.active():
            gradients = op.pullback(cotangents, tuple(map(traced, node.values)), operands, dict(node.attrs), needs)
            for operand, gradient in zip(node.args, gradients, strict=True):
                if isinstance(operand, Value) and gradient is not None:
                    self.accumulate(operand, gradient)
