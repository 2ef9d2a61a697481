"""Every pass, and the whole stage, on random graphs of all ops: same results, valid graph, nothing left to do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import assert_same_results, random_graphs

from tracegraph import dtypes, ir
from tracegraph.ir import Graph
from tracegraph.passes import PASSES, Pass, optimise
from tracegraph.passes.pipeline import DefaultSettings

#: passes that compute in another order or with other ops, so that results agree up to rounding only
ROUNDING = {"decompose", "simplify", "fuse", "matmul_fusion"}
#: passes after which another run finds nothing
IDEMPOTENT = sorted(PASSES.keys() - {"fuse"})


@pytest.mark.parametrize("name", sorted(PASSES))
@settings(max_examples=30)
@given(graph=random_graphs())
def test_results_stay(name: str, graph: Graph) -> None:
    check(PASSES[name], graph, exact=name not in ROUNDING)


@pytest.mark.parametrize("name", IDEMPOTENT)
@settings(max_examples=20)
@given(graph=random_graphs())
def test_twice_is_once(name: str, graph: Graph) -> None:
    once = PASSES[name](graph)
    assert str(PASSES[name](once)) == str(once)


@settings(max_examples=30)
@given(graph=random_graphs(calls=25))
def test_the_whole_stage(graph: Graph) -> None:
    check(optimise, graph, exact=False)


@pytest.mark.parametrize("dtype", [dtypes.float64, dtypes.float16, dtypes.int32, dtypes.bool_], ids=str)
@settings(max_examples=20)
@given(data=st.data())
def test_other_dtypes(dtype: dtypes.DType, data: st.DataObject) -> None:
    check(optimise, data.draw(random_graphs(dtype=dtype)), exact=False)


@settings(max_examples=30)
@given(graph=random_graphs())
def test_fastmath_ends_in_a_valid_graph(graph: Graph) -> None:
    """Results may differ where there are nan, infinities and zeros, so they are compared rule by rule only."""
    once = ir.verify(optimise(graph, DefaultSettings(fastmath=True)))
    assert [str(p) for p in once.placeholders] == [str(p) for p in graph.placeholders]


def check(function: Pass, graph: Graph, exact: bool) -> None:
    before = str(graph)
    after = function(graph)
    assert str(graph) == before, "the pass changed its argument"
    ir.verify(after)
    assert [str(p) for p in after.placeholders] == [str(p) for p in graph.placeholders]
    assert len(after.outputs) == len(graph.outputs)
    assert_same_results(graph, after, exact)
