"""Graphs of one sample as graphs of many: the text, and what they compute."""

from __future__ import annotations

import numpy as np
import pytest

from tracegraph import ir
from tracegraph.errors import VmapError
from tracegraph.ops.graphs.batched import batch_graph

RNG = np.random.default_rng(3)

LAYER = """graph layer(%x: f32[3], %w: f32[4, 3], %i: i64[2]) {
  %0: f32[4] = linear(%x, %w, none)
  %1: f32[2] = index(%0, %i, at=0, dims=[0], wrap=true)
  %2: f32[4, 1] = view(%0, size=[4, 1])
  %3: f32[4, 2] = add(%2, %1)
  %4: f32[] = sum(%3, dim=none, keepdim=false)
  return %4, %w
}"""


def interpreted(graph: ir.Graph, *arrays: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(r) for r in ir.interpret(graph, *arrays)]


def test_a_graph_of_all_samples() -> None:
    """Only what differs from sample to sample gets the dimension; results all have it."""
    graph = ir.parse(LAYER)
    batched = ir.verify(batch_graph(graph, (True, False, False), 5))
    assert str(batched) == "\n".join(
        (
            "graph layer(%x: f32[5, 3], %w: f32[4, 3], %i: i64[2]) {",
            "  %0: f32[5, 4] = linear(%x, %w, none)",
            "  %1: f32[5, 2] = index(%0, %i, at=1, dims=[1], wrap=true)",
            "  %2: f32[5, 4, 1] = view(%0, size=[5, 4, 1])",
            "  %3: f32[5, 1, 2] = basic_index(%1, index=[[0, 5, 1], none])",
            "  %4: f32[5, 4, 2] = add(%2, %3)",
            "  %5: f32[5] = sum(%4, dim=[1, 2], keepdim=false)",
            "  %6: f32[5, 4, 3] = expand(%w, size=[5, 4, 3])",
            "  return %5, %6",
            "}",
        )
    )


@pytest.mark.parametrize("varies", [(True, True, True), (False, True, False), (False, False, True)])
def test_computes_each_sample(varies: tuple[bool, ...]) -> None:
    graph = ir.parse(LAYER)
    batched = ir.verify(batch_graph(graph, varies, 2))
    rows = [
        (RNG.standard_normal(3).astype("f4"), RNG.standard_normal((4, 3)).astype("f4"), RNG.integers(0, 4, 2))
        for _ in range(2)
    ]
    given = [np.stack(c) if v else c[0] for c, v in zip(zip(*rows, strict=True), varies, strict=True)]
    wanted = [
        interpreted(graph, *(own if v else first for own, first, v in zip(row, rows[0], varies, strict=True)))
        for row in rows
    ]
    for found, results in zip(interpreted(batched, *given), zip(*wanted, strict=True), strict=True):
        np.testing.assert_allclose(found, np.stack(results), rtol=1e-5)


def test_symbolic_sizes() -> None:
    env = ir.ShapeEnv()
    with env.active():
        count, size = env.fresh(4), env.fresh(3)
        builder = ir.Builder("f")
        x = builder.placeholder(ir.TensorType(ir.parse_type("f32[]").dtype, (size,)), "x")
        graph = builder.output(builder.call(ir.lookup("sum"), x, dim=None, keepdim=True))
        batched = ir.verify(batch_graph(graph, (True,), count))
    assert str(batched).splitlines()[1] == f"  %0: f32[{count}, 1] = sum(%x, dim=[1], keepdim=true)"


def test_random_numbers() -> None:
    graph = ir.parse(
        "graph f(%x: f32[3]) {\n  %0: i64[2] = next_key()\n  %1: f32[3] = philox_uniform(%0, dtype=f32, size=[3])\n"
        "  %2: f32[3] = mul(%x, %1)\n  return %2\n}"
    )
    with pytest.raises(VmapError, match="randomness"):
        batch_graph(graph, (True,), 4)
    same, different = (str(batch_graph(graph, (True,), 4, randomness)) for randomness in ("same", "different"))
    assert "f32[3] = philox_uniform" in same and "f32[4, 3] = philox_uniform" in different


def test_a_write_to_what_is_the_same_for_all() -> None:
    graph = ir.parse("graph f(%x: f32[3], %y: f32[3]) {\n  copy_(%x, %y)\n  return %x\n}")
    with pytest.raises(VmapError, match="the same for all samples"):
        batch_graph(graph, (False, True), 4)
    batched = str(batch_graph(graph, (True, False), 4))
    assert "copy_(%x, %y)" in batched and "%x: f32[4, 3]" in batched
