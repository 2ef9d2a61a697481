"""Groups of products that could tie each other into a cycle, and constant factors."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from random_graphs import assert_same_results

from tracegraph import ir
from tracegraph.dtypes import float32
from tracegraph.ir import Builder, Graph, TensorType, Value, lookup
from tracegraph.passes.matmul_fusion import matmul_fusion


@pytest.fixture(autouse=True)
def _costly_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every group of these small products worth it."""
    monkeypatch.setitem(inspect.unwrap(matmul_fusion).__globals__, "CALL_OVERHEAD", 10**6)


def calls(graph: Graph) -> list[str]:
    return [n.call_op.name for n in graph.calls]


def matrix(builder: Builder, name: str) -> Value:
    return builder.placeholder(TensorType(float32, (32, 32)), name)


def test_two_groups_that_depend_on_each_other_crosswise() -> None:
    """b1 needs a1, and a2 needs b2: of the pairs (a1, a2) and (b1, b2) only one can become one product."""
    builder = Builder("crosswise")
    x, y, u, v = (matrix(builder, n) for n in "xyuv")
    matmul = lookup("matmul")
    a1 = builder.call(matmul, x, u)
    b2 = builder.call(matmul, y, v)
    b1 = builder.call(matmul, y, a1)
    a2 = builder.call(matmul, x, b2)
    graph = builder.output(b1, a2)
    after = ir.verify(matmul_fusion(graph))
    assert calls(after).count("matmul") == 3
    assert_same_results(graph, after, exact=False)


def test_a_product_is_in_one_group_only() -> None:
    builder = Builder("grid")
    x, y, u, v = (matrix(builder, n) for n in "xyuv")
    matmul = lookup("matmul")
    graph = builder.output(*(builder.call(matmul, a, b) for a in (x, y) for b in (u, v)))
    after = ir.verify(matmul_fusion(graph))
    assert calls(after).count("matmul") == 2
    assert_same_results(graph, after, exact=False)


def test_constant_factors_are_put_together_at_compile_time() -> None:
    builder = Builder("constants")
    x = builder.placeholder(TensorType(float32, (1, 64)), "x")
    rng = np.random.default_rng(0)
    weights = [builder.constant(rng.standard_normal((64, n)).astype(np.float32)) for n in (64, 128)]
    graph = builder.output(*(builder.call(lookup("matmul"), x, w) for w in weights))
    after = ir.verify(matmul_fusion(graph))
    assert calls(after) == ["matmul", "basic_index", "basic_index"]
    assert_same_results(graph, after, exact=False)


def test_a_chain_longer_than_the_recursion_limit_between_two_products() -> None:
    builder = Builder("long")
    x, u = matrix(builder, "x"), matrix(builder, "u")
    first = builder.call(lookup("matmul"), x, u)
    v = u
    for _ in range(3000):
        v = builder.call(lookup("neg"), v)
    graph = builder.output(first, builder.call(lookup("matmul"), x, v))
    assert calls(matmul_fusion(graph)).count("matmul") == 1
