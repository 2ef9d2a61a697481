"""Graphs as Python text, and as callables on tensors."""

from __future__ import annotations

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import ir
from tracegraph.errors import ShapeError
from tracegraph.ops.graphs.graph_module import GraphModule
from tracegraph.tensor import Tensor

BRANCHES = """graph f(%p: bool[], %x: f32[s0]) {
  %0: f32[s0] = cond(%p, %x, false_graph=graph g(%a: f32[s0]) {
    %0: f32[s0] = full(dtype=f32, fill_value=0.5, size=[s0])
    return %0
  }, sizes=[s0], true_graph=graph h(%a: f32[s0]) {
    %c0: f32[] = constant([2.0])
    %0: f32[s0] = mul(%a, %c0)
    return %0
  })
  return %0
}"""


def module(text: str) -> GraphModule:
    return GraphModule(ir.parse(text), Tensor)


def test_code_has_functions_for_the_graphs_inside() -> None:
    assert module(BRANCHES).code == (
        """def f(self, p, x):
    def g(a):
        v0 = tg.full(dtype=tracegraph.float32, fill_value=0.5, size=(s0,))
        return (v0,)
    def h(a):
        c0 = self.constants['c0']
        v0 = tg.mul(a, c0)
        return (v0,)
    v0 = tg.cond(p, x, false_graph=g, sizes=(s0,), true_graph=h)
    return (v0,)"""
    )


def test_tabular_names_the_graphs_inside(capsys: pytest.CaptureFixture[str]) -> None:
    ir.parse(BRANCHES).print_tabular()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert "false_graph=graph g, sizes=[s0], true_graph=graph h" in lines[4]


@pytest.mark.parametrize(("p", "wanted", "gradient"), [(True, [2.0, 4.0], 2.0), (False, [0.5, 0.5], 0.0)])
def test_control_flow_on_tensors(p: bool, wanted: list[float], gradient: float) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (y,) = module(BRANCHES)(tg.tensor(p), x)
    assert y.tolist() == wanted
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [gradient] * 2


def test_a_wrong_number_of_tensors() -> None:
    with pytest.raises(ShapeError, match="f takes 2 tensors, got 1"):
        module(BRANCHES)(tg.tensor(np.ones(2)))
