"""Control flow in native programs: the graphs that nodes hold are executables of their own."""

from __future__ import annotations

import numpy as np
import pytest
from compiling import check, compiled

from tracegraph import ir
from tracegraph.passes import fuse, optimise, plan_memory

LOOP = """graph f(%n: i64[], %x: f32[s0]) {
  %0: i64[], %1: f32[s0] = while_loop(%n, %x, body_graph=graph body(%i: i64[], %a: f32[s0]) {
    %0: i64[] = add(%i, 1)
    %1: f32[s0] = mul(%a, 2)
    %2: f32[s0] = sub(%1, %a)
    return %0, %2
  }, carried=2, cond_graph=graph cond(%i: i64[], %a: f32[s0]) {
    %0: bool[] = lt(%i, 5)
    return %0
  }, sizes=[s0])
  return %0, %1
}"""

BRANCHES = """graph f(%p: bool[], %x: f32[s0, 3]) {
  %0: f32[s0, 3] = cond(%p, %x, false_graph=graph g(%a: f32[s0, 3]) {
    %0: f32[s0, 3] = permute(%a, dims=[0, 1])
    return %0
  }, sizes=[s0], true_graph=graph h(%a: f32[s0, 3]) {
    %0: f32[s0, 3] = exp(%a)
    %1: f32[s0, 3] = add(%0, 1)
    return %1
  })
  %1: f32[3, s0] = permute(%0, dims=[1, 0])
  %2: f32[3, s0] = neg(%1)
  return %0, %2
}"""

#: the bodies mention a size that no operand shows
HIDDEN = """graph f(%p: bool[], %x: f32[s0]) {
  %0: f32[s0] = cond(%p, false_graph=graph g() {
    %0: f32[s0] = full(dtype=f32, fill_value=1.5, size=[s0])
    return %0
  }, sizes=[s0], true_graph=graph h() {
    %0: f32[s0] = full(dtype=f32, fill_value=2.5, size=[s0])
    return %0
  })
  %1: f32[s0] = add(%0, %x)
  return %1
}"""


@pytest.mark.parametrize("rows", [2, 7])
@pytest.mark.parametrize("p", [True, False])
@pytest.mark.parametrize("text", [BRANCHES, HIDDEN], ids=["branches", "hidden"])
def test_branches(text: str, p: bool, rows: int) -> None:
    shape = (rows, 3) if "[s0, 3]" in text else (rows,)
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 8
    check(text, np.array(p), x)
    check(text, np.array(p), x[::-1])


@pytest.mark.parametrize("start", [0, 4, 9])
def test_loop(start: int) -> None:
    check(LOOP, np.array(start), np.arange(6, dtype=np.float32))


def test_steps_name_the_control_flow() -> None:
    executable = compiled(LOOP)
    assert str(executable.program).splitlines()[1:] == ["  control while_loop #0"]


def test_the_plan_shows_the_bodies() -> None:
    text = str(plan_memory(fuse(ir.parse(LOOP))))
    assert "plan f\n" in text and "plan body\n" in text and "plan cond\n" in text


def test_bodies_are_optimised_and_fused() -> None:
    (call,) = fuse(optimise(ir.parse(LOOP))).calls
    body = call.attrs["body_graph"]
    assert isinstance(body, ir.Graph)
    assert [n.call_op.name for n in body.calls if n.values[0].type.shape] == ["fused"]
