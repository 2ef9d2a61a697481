"""copy_ and the in-place methods made of it."""

from __future__ import annotations

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import ir
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ops.graphs.recording import Recorder


def test_copy_converts_broadcasts_and_gives_back_its_target() -> None:
    x = tg.zeros(2, 3, dtype=tg.int32)
    assert x.copy_(tg.tensor([1.7, -1.7, 2.0])) is x
    assert x.tolist() == [[1, -1, 2]] * 2


def test_copy_within_the_same_memory() -> None:
    x = tg.arange(6)
    x[1:].copy_(x[:-1])
    assert x.tolist() == [0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("wrap", [lambda f: f, tg.compile], ids=["eager", "compiled"])
def test_a_read_only_array_is_not_written_to(wrap) -> None:
    def scaled(x):
        y = x * 2
        x.add_(1)
        return y

    array = np.ones((2, 3), np.float32)
    array.setflags(write=False)
    shared = tg.from_numpy(array)
    with pytest.raises(ValueRangeError, match=r"f32\[2, 3\], shares the memory of a read-only .*clone\(\) it first"):
        wrap(scaled)(shared)
    assert array.tolist() == [[1] * 3] * 2
    assert wrap(scaled)(shared.clone()).tolist() == [[2] * 3] * 2


def test_gradients_of_a_copy_go_to_the_source() -> None:
    x, src = tg.ones(2, 3, requires_grad=True), tg.ones(3, requires_grad=True)
    y = x * 2
    y.copy_(src)
    (y * 5).sum().backward()
    assert src.grad.tolist() == [10, 10, 10]
    assert x.grad is None


def test_fill_and_zero() -> None:
    x = tg.ones(3)
    assert x.fill_(tg.tensor(2)).tolist() == [2, 2, 2]
    assert x.fill_(-1.5).tolist() == [-1.5] * 3
    assert x.zero_() is x
    assert not x.any().item()


def test_writes_are_recorded_as_copies() -> None:
    builder = ir.Builder("f")
    x = builder.placeholder(ir.parse_type("f32[3]"), "x")
    recorder = Recorder(builder)
    with recorder.active():
        handle = recorder.traced(x)
        handle.add_(1.0)
        handle.zero_()
    graph = ir.verify(builder.output())
    assert [n.call_op.name for n in graph.calls] == ["add", "copy_", "full", "copy_"]
    array = np.ones(3, np.float32)
    ir.interpret(graph, array)
    assert array.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tg.zeros(2).copy_(tg.zeros(3)), "do not broadcast"),
        (lambda: tg.zeros(2).copy_(tg.zeros(1, 2)), r"shape \[1, 2\] does not broadcast to the shape \[2\] written to"),
        (lambda: tg.zeros(1).expand(2).copy_(tg.zeros(2)), "expanded: several of its elements share one place"),
        (lambda: tg.zeros(2).fill_(tg.zeros(2)), r"a number or a 0-d tensor, got shape \[2\]"),
        (lambda: tg.zeros(1).add_(tg.zeros(2)), "in-place operations do not broadcast"),
    ],
)
def test_refusals(call, message) -> None:
    with pytest.raises(ShapeError, match=message):
        call()


def test_fill_diagonal() -> None:
    x = tg.zeros(3, 2)
    assert x.fill_diagonal_(5) is x
    assert x.tolist() == [[5, 0], [0, 5], [0, 0]]
    assert tg.zeros(4, 1).fill_diagonal_(1, wrap=True).flatten().tolist() == [1, 0, 1, 0]
    assert tg.zeros(2, 2, 2).fill_diagonal_(1).flatten().tolist() == [1, 0, 0, 0, 0, 0, 0, 1]
    with pytest.raises(RuntimeError, match="of equal sizes"):
        tg.zeros(2, 3, 2).fill_diagonal_(1)
