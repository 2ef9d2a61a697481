"""Memory plans: outputs fresh, inputs untouched, live values apart, views and dying operands for free."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from random_graphs import random_graphs

from tracegraph import ir
from tracegraph.ir import Graph, Value
from tracegraph.ir.memory_plan import MemoryPlan, Space, Storage
from tracegraph.passes import fuse, plan_memory
from tracegraph.passes.decompose import decompose


def plan_of(body: str, inputs: str = "%x: f32[4, 6]") -> MemoryPlan:
    return plan_memory(ir.parse(f"graph g({inputs}) {{\n{body}\n}}"))


def live_steps(plan: MemoryPlan, storage: Storage) -> range:
    """The steps from the first write to the last read of the values in a storage, found anew from the graph."""
    step = {node: n for n, node in enumerate(plan.graph.nodes)}
    held = [v for v, p in plan.placements.items() if p.storage == storage]
    last = max([step[user] for v in held for user in v.users] + [step[v.node] for v in held])
    return range(min(step[v.node] for v in held), last + 1)


def check(graph: Graph) -> None:
    plan = plan_memory(graph)
    layout = plan.layout({})
    ends = [o + int(s.nbytes) for o, s in zip(layout.offsets, plan.arena, strict=True)]
    for i, a in enumerate(plan.arena):
        assert range(a.first, a.last + 1) == live_steps(plan, a)
        for j, b in enumerate(plan.arena[:i]):
            if a.first <= b.last and b.first <= a.last:
                assert ends[i] <= layout.offsets[j] or ends[j] <= layout.offsets[i]
    for node in graph.calls:
        for value in node.values:
            space = plan.placements[value].storage.space
            assert value in plan.views or space in (Space.ARENA, Space.OUTPUT)
    outputs = [s for s in plan.outputs if s is not None]
    assert len(set(outputs)) == len(outputs)
    assert all(s.space is Space.OUTPUT for s in outputs)


@settings(max_examples=60)
@given(random_graphs(calls=16))
def test_random_graphs(graph: Graph) -> None:
    check(graph)
    check(fuse(decompose(graph)))


def test_pointwise_overwrites_an_operand_that_dies() -> None:
    plan = plan_of(
        "  %0: f32[4, 6] = exp(%x)\n  %1: f32[4, 6] = neg(%0)\n"
        "  %2: f32[4] = sum(%1, dim=[1], keepdim=false)\n  return %2"
    )
    assert len(plan.arena) == 1 and plan.arena[0].last == 3
    assert {p.storage.name for v, p in plan.placements.items() if v.node.is_call} == {"buf0", "out0"}


@pytest.mark.parametrize(
    "body",
    [
        # the operand is read at other positions than those written
        "  %0: f32[4, 6] = exp(%x)\n  %1: f32[4, 6] = flip(%0, dims=[1])\n  %2: f32[4, 6] = neg(%1)\n  return %2",
        # the operand is needed again
        "  %0: f32[4, 6] = exp(%x)\n  %1: f32[4, 6] = neg(%0)\n  %2: f32[4, 6] = add(%0, %1)\n  return %2",
        # another view of the operand is read by the same kernel
        "  %0: f32[4, 6] = exp(%x)\n  %1: f32[1, 6] = basic_index(%0, index=[[0, 1, 1]])\n"
        "  %2: f32[4, 6] = sub(%0, %1)\n"
        "  %3: f32[4, 6] = neg(%2)\n  return %3",
    ],
)
def test_operands_that_must_not_be_overwritten(body: str) -> None:
    graph = ir.parse(f"graph g(%x: f32[4, 6]) {{\n{body}\n}}")
    first, second = (
        next(iter(graph.calls)).value,
        [n for n in graph.calls if n.call_op.kind is not ir.Kind.VIEW][1].value,
    )
    placements = plan_memory(graph).placements
    assert placements[first].storage != placements[second].storage


def test_views_are_placements() -> None:
    plan = plan_of(
        "  %0: f32[6, 4] = permute(%x, dims=[1, 0])\n  %1: f32[2, 4] = basic_index(%0, index=[[1, 5, 2]])\n  return %1"
    )
    placement = plan.placements[plan.graph.outputs[0]]
    assert (placement.storage.name, placement.offset, placement.strides) == ("in0", 1, (2, 6))
    assert [(s.name, v in plan.views) for v, s in plan.copies] == [("out0", True)]


def test_a_diagonal_is_a_placement() -> None:
    plan = plan_of("  %0: f32[4] = diagonal(%x, dim1=0, dim2=1, offset=1)\n  return %0")
    placement = plan.placements[plan.graph.outputs[0]]
    assert (placement.offset, placement.strides) == (1, (7,))


def test_outputs_are_never_shared() -> None:
    plan = plan_of("  %0: f32[4, 6] = exp(%x)\n  %1: f32[24] = view(%0, size=[24])\n  return %1, %0, %x, %1")
    assert [s.name for s in plan.outputs if s] == ["out0", "out1", "out2", "out3"]
    assert len(plan.copies) == 3
    assert isinstance(plan.graph.outputs[0], Value)


def test_symbolic_sizes_are_laid_out_per_binding() -> None:
    graph = ir.parse(
        "graph g(%x: f32[s0, 4], %y: f32[4, 4]) {\n  %0: f32[s0, 4] = matmul(%x, %y)\n"
        "  %1: f32[s0, 4] = matmul(%0, %y)\n  %2: f32[s0, 4] = matmul(%1, %y)\n  return %2\n}"
    )
    plan = plan_memory(graph)
    assert plan.layout({"s0": 10}).total == 192 + 160
    assert plan.layout({"s0": 1000}).total == 32000
    assert plan.layout({"s0": 10}) is plan.layout({"s0": 10})


def test_text() -> None:
    plan = plan_of(
        "  %0: f32[4, 6] = exp(%x)\n  %1: f32[6, 4] = permute(%0, dims=[1, 0])\n  %2: f32[6, 4] = neg(%1)\n  return %2"
    )
    lines = str(plan).splitlines()
    assert lines[0] == "plan g"
    assert [line.split() for line in lines[1:]] == [
        ["in0", "f32[24]", "%x"],
        ["buf0", "f32[24]", "steps", "1-3", "%0"],
        ["out0", "f32[24]", "%2"],
        ["%1", "=", "buf0", "+", "0,", "strides", "[1,", "6]"],
    ]


def test_outputs_that_are_no_tensors() -> None:
    plan = plan_of("  return none, %x")
    assert plan.outputs[0] is None and plan.outputs[1] is not None
    assert np.all([s.space is Space.OUTPUT for _, s in plan.copies])
