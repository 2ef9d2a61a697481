"""Forward and backward graph, one after the other, are the joint graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from random_graphs import assert_same, inputs_for, random_graphs, run

from tracegraph import ir
from tracegraph.aot import Joint, Partition, differentiate, partition_default, partition_min_cut
from tracegraph.aot.partition import cut
from tracegraph.errors import IRError
from tracegraph.ir import Graph, Role
from tracegraph.passes import optimise_joint

PARTITIONERS = [partition_default, partition_min_cut]


def joint_of(text: str, *requiring: bool) -> Joint:
    graph = ir.verify(ir.parse(text))
    return differentiate(graph, requiring or [True] * len(graph.placeholders))


def calls(graph: Graph) -> list[str]:
    return [n.call_op.name for n in graph.calls]


def check(joint: Joint, parts: Partition, sizes: dict[str, int] | None = None) -> None:
    ir.verify(parts.forward)
    ir.verify(parts.backward)
    inputs = inputs_for(joint.graph, sizes=sizes)
    primals, cotangents = inputs[: joint.inputs], inputs[joint.inputs :]
    forward = run(parts.forward, primals)
    outputs, saved = forward[: parts.outputs], forward[parts.outputs :]
    gradients = run(parts.backward, [*(primals[i] for i in parts.saved_inputs), *saved, *cotangents])
    for found, wanted in zip([*outputs, *gradients], run(joint.graph, inputs), strict=True):
        assert_same(found, wanted)


LINEAR = """graph f(%x: f32[64, 4], %w: f32[4, 5] parameter, %b: f32[5]) {
  %0: f32[64, 5] = matmul(%x, %w)
  %1: f32[64, 5] = add(%0, %b)
  %2: f32[64, 5] = relu(%1)
  %3: f32[64, 5] = exp(%2)
  %4: f32[] = sum(%3, dim=none, keepdim=false)
  return %4
}"""


@pytest.mark.parametrize("partition", PARTITIONERS)
def test_halves_are_the_joint_graph(partition: object) -> None:
    joint = joint_of(LINEAR, False, True, True)
    parts = partition(joint)
    check(joint, parts)
    assert parts.saved_inputs == (0,)
    assert [p.role for p in parts.forward.placeholders] == [Role.PRIMAL, Role.PARAMETER, Role.PRIMAL]
    assert {p.role for p in parts.backward.placeholders} == {Role.SAVED, Role.COTANGENT}


def test_default_computes_nothing_again() -> None:
    joint = joint_of(LINEAR, False, True, True)
    parts = partition_default(joint)
    assert calls(parts.forward) == ["matmul", "add", "relu", "exp", "sum"]
    assert len(calls(parts.forward)) + len(calls(parts.backward)) == len(list(joint.graph.calls))


def test_min_cut_saves_one_of_a_chain_and_computes_the_rest_again() -> None:
    joint = joint_of("""graph f(%x: f32[64, 4], %w: f32[4, 5]) {
  %0: f32[64, 5] = matmul(%x, %w)
  %1: f32[64, 5] = add(%0, 1)
  %2: f32[64, 5] = mul(%1, %1)
  %3: f32[64, 5] = mul(%2, %1)
  return %3
}""")
    parts = partition_min_cut(joint)
    check(joint, parts)
    assert len(parts.forward.outputs) == 2
    assert len(partition_default(joint).forward.outputs) == 3


def test_min_cut_never_computes_a_product_again() -> None:
    joint = joint_of("""graph f(%x: f32[64, 64], %w: f32[64, 64]) {
  %0: f32[64, 64] = matmul(%x, %w)
  %1: f32[64, 64] = mul(%0, %0)
  %2: f32[64, 64] = matmul(%1, %w)
  %3: f32[64, 64] = exp(%2)
  return %3
}""")
    parts = partition_min_cut(joint)
    check(joint, parts)
    assert calls(parts.forward).count("matmul") + calls(parts.backward).count("matmul") == 6


def test_min_cut_saves_the_small_side_of_a_broadcast() -> None:
    joint = joint_of("""graph f(%x: f32[64], %y: f32[64, 64]) {
  %0: f32[64] = exp(%x)
  %1: f32[64, 64] = expand(%0, size=[64, 64])
  %2: f32[64, 64] = mul(%1, %y)
  %3: f32[64, 64] = mul(%2, %y)
  return %3
}""")
    parts = partition_min_cut(joint)
    check(joint, parts)
    assert parts.saved_inputs == (1,)
    assert [str(o.type) for o in parts.forward.outputs[1:] if isinstance(o, ir.Value)] == ["f32[64]"]


@pytest.mark.parametrize("partition", PARTITIONERS)
def test_the_base_of_a_view_is_saved_where_it_is_no_larger(partition: object) -> None:
    joint = joint_of("""graph f(%x: f32[8, 8], %w: f32[8, 8]) {
  %0: f32[8, 8] = matmul(%x, %x)
  %1: f32[8, 8] = permute(%0, dims=[1, 0])
  %2: f32[8] = basic_index(%1, index=[0])
  %3: f32[8, 8] = matmul(%1, %w)
  %4: f32[8] = mul(%2, %2)
  return %3, %4
}""")
    parts = partition(joint)
    check(joint, parts)
    saved = [o for o in parts.forward.outputs[2:] if isinstance(o, ir.Value)]
    assert not any(o.node.call_op.kind is ir.Kind.VIEW and o.shape == (8, 8) for o in saved)
    assert parts.saved_inputs == (0, 1)


@pytest.mark.parametrize("partition", PARTITIONERS)
def test_inputs_written_to_are_copied(partition: object) -> None:
    joint = joint_of("""graph f(%x: f32[4], %y: f32[4]) {
  %0: f32[4] = mul(%x, %y)
  %1: f32[4] = add(%x, 1)
  return %1, %0
}""")
    parts = partition(joint, written=frozenset({0}))
    check(joint, parts)
    assert parts.saved_inputs == (1,)
    assert calls(parts.forward).count("clone") == 1


@pytest.mark.parametrize("partition", PARTITIONERS)
def test_sizes_that_backward_cannot_see_are_saved_as_empty_tensors(partition: object) -> None:
    environment = ir.ShapeEnv()
    environment.fresh(5)
    with environment.active():
        joint = joint_of("""graph f(%x: f32[s0, 4]) {
  %0: f32[] = sum(%x, dim=none, keepdim=false)
  return %0
}""")
        parts = partition(joint)
    check(joint, parts, {"s0": 5})
    (saved, _) = parts.backward.placeholders
    assert str(saved.type) == "f32[s0, 0]"


def test_a_cut_that_leaves_an_input_out_is_an_error() -> None:
    joint = joint_of("""graph f(%x: f32[4]) {
  %0: f32[4] = exp(%x)
  %1: f32[4] = sin(%0)
  return %1
}""")
    with pytest.raises(IRError, match=r"%x.*not saved"):
        cut(joint, [])


@pytest.mark.parametrize("partition", PARTITIONERS)
@given(graph=random_graphs(wanted=lambda op: op.is_differentiable))
def test_random_graphs(partition: object, graph: Graph) -> None:
    joint = differentiate(graph, [np.issubdtype(p.type.dtype.np, np.floating) for p in graph.placeholders])
    check(joint, partition(joint))


@pytest.mark.parametrize(("columns", "saved"), [(2, 0), (1000, 1)])
def test_min_cut_weighs_by_the_example_sizes(columns: int, saved: int) -> None:
    """Adding up a few numbers again is less work than saving their sum."""
    environment = ir.ShapeEnv()
    environment.fresh(40)
    environment.fresh(columns)
    with environment.active():
        joint = joint_of("""graph f(%x: f32[s0], %y: f32[s0, s1]) {
  %0: f32[s0, s1] = mul(%y, %y)
  %1: f32[s0] = sum(%0, dim=[1], keepdim=false)
  %2: f32[s0] = mul(%1, %x)
  return %2
}""")
        parts = partition_min_cut(joint, sizes=environment.examples)
    check(joint, parts, environment.examples)
    assert len(parts.forward.outputs) == 1 + saved


@pytest.mark.parametrize("partition", PARTITIONERS)
@pytest.mark.parametrize("lasting", [frozenset(), frozenset({0, 1})])
def test_kept_values_are_restored_from_saved_values_and_lasting_inputs(
    partition: object, lasting: frozenset[int]
) -> None:
    graph = ir.verify(
        ir.parse("""graph f(%x: f32[64, 4], %b: f32[4]) {
  %0: f32[64, 4] = add(%x, %b)
  %1: f32[64, 4] = gelu(%0, approximate="none")
  %2: f32[64, 4] = softmax(%1, dim=1, dtype=none)
  return %2
}""")
    )
    joint = differentiate(graph, [True, True], keep=True)
    joint = replace(joint, graph=optimise_joint(joint.graph))
    parts = partition(joint, lasting=lasting)
    inputs = inputs_for(joint.graph)
    saved = [inputs[i] for i in parts.saved_inputs] + run(parts.forward, inputs[: joint.inputs])[parts.outputs :]
    restored = run(ir.verify(parts.restore()), [*saved, *(inputs[i] for i in parts.restore_inputs)])
    wanted = run(joint.graph, inputs)[joint.outputs + len(joint.requiring) :]
    assert len(restored) == len(wanted) == 2
    for a, b in zip(restored, wanted, strict=True):
        assert_same(a, b, exact=False)
    # with inputs that last anyway, the call saves no more than its first derivative reads
    first = differentiate(graph, [True, True])
    first = replace(first, graph=optimise_joint(first.graph))
    *taken, _ = partition(first).backward.placeholders
    assert not lasting or len(saved) == len(taken)
