"""Graphs inside graphs: which there are, changing them, sizes they mention."""

from __future__ import annotations

import numpy as np
import pytest

from tracegraph import ir
from tracegraph.errors import VerifyError
from tracegraph.ir import Graph
from tracegraph.ir.subgraphs import Interpreted, sizes_of, subgraphs, symbols_of, with_sizes_shown, with_subgraphs

TEXT = """graph f(%p: bool[], %x: f32[s0, 4]) {
  %0: f32[s0] = cond(%p, %x, false_graph=graph g(%a: f32[s0, 4]) {
    %0: f32[s0] = sum(%a, dim=[1], keepdim=false)             // model.py:7
    return %0
  }, sizes=[s0], true_graph=graph h(%a: f32[s0, 4]) {
    %0: f32[s0] = full(dtype=f32, fill_value=1.5, size=[s0])
    return %0
  })  // model.py:6
  %1: f32[s0] = exp(%0)                                       // model.py:8
  return %1
}"""


def _copied(graph: Graph) -> Graph:
    rebuilder = ir.Rebuilder(graph, f"{graph.name}2")
    for node in graph.nodes:
        rebuilder.copy(node)
    return rebuilder.graph


def test_text_round_trip() -> None:
    assert str(ir.verify(ir.parse(TEXT))) == TEXT


def test_which_there_are() -> None:
    cond, exp = ir.parse(TEXT).calls
    assert {name: graph.name for name, graph in subgraphs(cond).items()} == {"false_graph": "g", "true_graph": "h"}
    assert subgraphs(exp) == {}


def test_nothing_to_change() -> None:
    graph = ir.parse(TEXT)
    assert with_subgraphs(graph, lambda body: body) is graph


def test_change() -> None:
    graph = ir.parse(TEXT)
    changed = ir.verify(with_subgraphs(graph, _copied))
    assert str(changed) == TEXT.replace("graph g(", "graph g2(").replace("graph h(", "graph h2(")
    assert str(graph) == TEXT


def test_symbols() -> None:
    cond = next(ir.parse(TEXT).calls)
    assert symbols_of(subgraphs(cond).values()) == ("s0",)
    assert list(map(str, sizes_of(subgraphs(cond).values()))) == ["s0"]


def test_values_of_sizes_are_handed_in() -> None:
    graph = ir.parse(TEXT)
    for rows in (2, 5):
        x = np.ones((rows, 4), np.float32)
        assert [np.log(ir.interpret(graph, np.array(p), x)[0])[-1] for p in (True, False)] == pytest.approx([1.5, 4.0])


def test_sizes_that_no_input_shows() -> None:
    graph = ir.parse(
        "graph f(%x: f32[s0, 2*s1]) {\n  %0: f32[s1] = full(dtype=f32, fill_value=1.0, size=[s1])\n  return %0\n}"
    )
    shown, hidden = with_sizes_shown(graph)
    assert hidden == ("s1",)
    assert [str(p.type) for p in shown.placeholders] == ["f32[s0, 2*s1]", "f32[s1, 0]"]
    assert with_sizes_shown(shown) == (shown, ())


def test_an_interpreted_body_gives_fresh_arrays() -> None:
    body = Interpreted(ir.parse("graph f(%x: f32[3]) {\n  return %x, %x\n}"))
    x = np.ones(3, np.float32)
    a, b = body([x], {})
    assert not any(np.may_share_memory(*pair) for pair in ((a, x), (b, x), (a, b)))


def test_the_verifier_looks_inside() -> None:
    graph = ir.parse(TEXT)
    body = subgraphs(next(graph.calls))["true_graph"]
    body.nodes.insert(0, body.nodes.pop(1))
    with pytest.raises(VerifyError, match="graph h"):
        ir.verify(graph)
