"""Native code computes what eager execution computes, for every op: generated from the samples of its definition.

All calls of an op go into one graph, which is compiled twice: as it stands, each call a kernel of its own, and
through the passes, decomposed and fused. Compiling per op instead of per call keeps the suite quick.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from agreement import assert_agree, has_zero_signs
from folded import folded
from op_cases import Call, Change, all_ops, cases_of, extraordinary

import tracegraph as tg
from tracegraph import ir
from tracegraph.codegen.compile import compile_program
from tracegraph.codegen.native.executable import Executable
from tracegraph.errors import ElementError
from tracegraph.ir import Builder, Graph, Rebuilder
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.core.samples import A
from tracegraph.passes import fuse, optimise, plan_memory

pure_ops = [
    op for op in all_ops() if all(n.is_pure for n in cases_of(op)[0][0].drawn(cases_of(op)[0][1]).record().nodes)
]


def extreme(array: np.ndarray, description: A) -> np.ndarray:
    """As `extraordinary`, without the largest numbers: in sums of those, overflow depends on the order."""
    found = extraordinary(array, description)
    if found.dtype.kind not in "fV":
        return found
    wide = found.astype(np.float64)
    return np.where((np.abs(wide) > 1e30) & np.isfinite(wide), array, found).astype(array.dtype)


def joined(calls: Sequence[Call]) -> tuple[Graph, list[np.ndarray]]:
    """One graph with every call, and the arrays for its inputs."""
    builder = Builder("calls")
    recorded = [call.record() for call in calls]
    inputs = [[builder.placeholder(p.type) for p in graph.placeholders] for graph in recorded]
    outputs = []
    for graph, values in zip(recorded, inputs, strict=True):
        rebuilder = Rebuilder(graph)
        rebuilder.builder = builder
        rebuilder.mapping.update(zip(graph.placeholders, values, strict=True))
        for node in graph.nodes:
            if node.op in ("call", "constant"):
                rebuilder.copy(node)
        outputs += [rebuilder.operand(o) for o in graph.outputs]
    return builder.output(*outputs), [a for call in calls for a in call.arrays]


def compare(program: Executable, graph: Graph, arrays: Sequence[np.ndarray], zero_signs: bool = True) -> None:
    """The program gives what the interpreter gives for its graph: results, or an error about elements."""
    try:
        with np.errstate(all="ignore"):
            wanted = ir.interpret(graph, *arrays)
    except ElementError as error:
        with pytest.raises(ElementError, match=re.escape(str(error))):
            program(list(arrays))
        return
    found = program(list(arrays))
    for output, a, b in zip(graph.outputs, found, wanted, strict=True):
        assert_agree(np.asarray(a), np.asarray(b), repr(getattr(output, "node", output)), zero_signs)


def calls_of(op: Definition, change: Change | None = None) -> list[Call]:
    """Every call of the op's samples; of the f32 and f64 ones with arrays changed if asked."""
    changed = (tg.float32, tg.float64)
    return [case.drawn(dtype, change if dtype in changed else None) for case, dtype in cases_of(op)]


def check_compiled(op: Definition) -> None:
    graph, arrays = joined(calls_of(op))
    compare(compile_program(plan_memory(graph)), graph, arrays)


def check_fused(op: Definition) -> None:
    """With ordinary elements, and with nan, infinities and signed zeros."""
    graph, arrays = joined(calls_of(op))
    program = compile_program(plan_memory(fuse(optimise(graph))))
    compare(program, graph, arrays)
    _, extremes = joined(calls_of(op, extreme))
    compare(program, graph, extremes, has_zero_signs(graph))
    if not has_zero_signs(graph):  # they are where no zeros of both signs meet
        compare(program, graph, [a + 0.0 if a.dtype.kind == "f" else a for a in extremes])


#: in one test, since half of the kernels are the same and compiled once
CHECKS = {"compiled": check_compiled, "fused": check_fused}


@pytest.mark.parametrize("op", pure_ops, ids=lambda op: op.name)
@folded("check", CHECKS)
def test_op(op: Definition, check: str) -> None:
    CHECKS[check](op)
