"""Gradient formulas that write to what they make, as parts of a pure graph.

The formula of a custom op is the program's, and may be `out = g.new_zeros(n); out[1:3] = g; return out`. It is recorded
into a graph of its own, and the pure form of that is what the joint graph gets.

    %0 = full(fill_value=0.0, size=[4])            %0 = full(fill_value=0.0, size=[4])
    %1 = basic_index(%0, index=[[1, 3, 1]])  -->   %1 = clone(%t0)
    copy_(%1, %t0)                                 %2 = basic_index_scatter(%0, %1, index=[[1, 3, 1]])
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from tracegraph.aot.functionalise import functionalise_body
from tracegraph.ir import Builder, Graph, Role, Value
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.backward_pass import Step
from tracegraph.ops.graphs.recording import Recorder, Traced


def pure_pullback(
    step: Step, recorder: Recorder, on_read: Callable[[Collection[str]], None]
) -> Sequence[Traced | None]:
    """The gradients that the formula of `step.op` gives, recorded by `recorder` without the formula's writes.

    Raises:
        IRError: the formula writes to what it is given, or draws random numbers.
    """
    inner = Recorder(Builder(f"gradient of {step.op.name}"))
    given: dict[Value, Traced] = {}
    handles: dict[Value, Traced] = {}

    def inside(operand: Any) -> Any:
        if not isinstance(operand, Traced):
            return operand
        if operand.value not in given:
            placeholder = inner.builder.placeholder(operand.type, f"x{len(given)}", Role.PRIMAL)
            given[operand.value] = inner.traced(placeholder, operand.requires_grad)
            handles[placeholder] = operand
        return given[operand.value]

    cotangents, results, operands = (tuple(map(inside, p)) for p in (step.cotangents, step.results, step.operands))
    with inner.active():
        gradients = step.op.pullback(cotangents, results, operands, dict(step.node.attrs), step.needs, on_read)
    body = inner.builder.output(*(g.value for g in gradients if g is not None))
    found = iter(_record(functionalise_body(body), recorder, [handles[p] for p in body.placeholders]))
    return [None if g is None else next(found) for g in gradients]


def _record(graph: Graph, recorder: Recorder, inputs: Sequence[Traced]) -> list[Traced]:
    """Record the operations of a pure graph; its results for these inputs."""
    handles = dict(zip(graph.placeholders, inputs, strict=True))
    for node in graph.nodes:
        if isinstance(node.target, np.ndarray):
            handles[node.value] = recorder.constant(node.target)
        elif isinstance(node.target, Definition):
            operands = tuple(handles[a] if isinstance(a, Value) else a for a in node.args)
            made = recorder.handle(node.target, operands, dict(node.attrs))
            handles.update(zip(node.values, made if isinstance(made, tuple) else (made,), strict=True))
    return [handles[v] for v in graph.outputs if isinstance(v, Value)]
