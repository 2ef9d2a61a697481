"""Fusion beyond the golden files: limits, dynamic sizes, structures that must stay apart."""

from __future__ import annotations

import pytest
from compiling import check
from golden import check_same_meaning

from tracegraph import dtypes, ir
from tracegraph.ir import Builder, Graph, Kind, TensorType, lookup
from tracegraph.passes import fuse
from tracegraph.passes.fusion_group import MAX_NODES, MAX_OPERANDS


def bodies(graph: Graph) -> list[Graph]:
    return [n.attrs["body"] for n in graph.calls if n.call_op.kind is Kind.FUSED]


def fused(text: str) -> Graph:
    return ir.verify(fuse(ir.parse(text)))


def test_long_chains_are_split() -> None:
    builder = Builder("chain")
    x = builder.placeholder(TensorType(dtypes.float32, (8,)))
    for _ in range(3 * MAX_NODES):
        x = builder.call(lookup("sin"), x)
    graph = builder.output(x)
    result = ir.verify(fuse(graph))
    assert [len(list(b.calls)) for b in bodies(result)] == [MAX_NODES] * 3
    check_same_meaning(graph, result)


def test_kernels_take_a_limited_number_of_operands() -> None:
    builder = Builder("sum")
    inputs = [builder.placeholder(TensorType(dtypes.float32, (8,))) for _ in range(2 * MAX_OPERANDS)]
    total = inputs[0]
    for x in inputs[1:]:
        total = builder.call(lookup("add"), total, x)
    result = ir.verify(fuse(builder.output(total)))
    assert max(len(b.placeholders) for b in bodies(result)) <= MAX_OPERANDS
    check(builder.graph)


@pytest.mark.parametrize("op", ["sort", "matmul"])
def test_what_has_no_loops_stays(op: str) -> None:
    call = {
        "sort": "%1: f32[4, 4], %2: i64[4, 4] = sort(%0, dim=1, descending=false)",
        "matmul": "%1: f32[4, 4] = matmul(%0, %0)",
    }[op]
    result = fused(f"graph g(%x: f32[4, 4]) {{\n  %0: f32[4, 4] = exp(%x)\n  {call}\n  return %1\n}}")
    assert not bodies(result)


def test_a_diamond_around_a_product_makes_no_cycle() -> None:
    """Both sides of the product could share loops, but the product needs one and feeds the other."""
    result = fused("""graph g(%x: f32[8, 8]) {
  %0: f32[8, 8] = exp(%x)
  %1: f32[8, 8] = sin(%0)
  %2: f32[8, 8] = matmul(%1, %x)
  %3: f32[8, 8] = cos(%x)
  %4: f32[8, 8] = add(%3, %2)
  %5: f32[8, 8] = mul(%4, %0)
  return %5
}""")
    order = [n.call_op.name for n in result.calls]
    assert order.count("matmul") == 1 and "fused" in order[order.index("matmul") :]


def test_sizes_that_only_a_body_mentions() -> None:
    text = """graph g(%x: f32[s0, 4], %y: f32[s0]) {
  %0: f32[s0, 4] = full(dtype=f32, fill_value=2.0, size=[s0, 4])
  %1: f32[s0, 4] = mul(%0, %x)
  %2: f32[s0, 4] = exp(%1)
  return %2
}"""
    assert len(bodies(fused(text))) == 1
    check(text, sizes={"s0": 5})


def test_empty_results_stay_as_they_are() -> None:
    result = fused("graph g(%x: f32[0, 4]) {\n  %0: f32[0, 4] = exp(%x)\n  %1: f32[0, 4] = sin(%0)\n  return %1\n}")
    assert not bodies(result)


def test_unused_results_are_dropped() -> None:
    result = fused("graph g(%x: f32[4]) {\n  %0: f32[4] = exp(%x)\n  %1: f32[4] = sin(%0)\n  return %0\n}")
    assert [n.call_op.name for n in result.calls] == ["exp"]


def test_multi_use_producers_are_stored_once() -> None:
    """An expensive value used by the rows and by the columns is a result of one kernel and an input of the other."""
    result = fused("""graph g(%x: f32[64, 64]) {
  %0: f32[64, 64] = exp(%x)
  %1: f32[64] = sum(%0, dim=[0], keepdim=false)
  %2: f32[64] = sum(%0, dim=[1], keepdim=false)
  return %1, %2
}""")
    assert sum(n.call_op.name == "exp" for b in bodies(result) for n in b.calls) == 1
