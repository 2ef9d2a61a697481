"""Sizes that nothing decides: the message names the call, the tensor, its line and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg
from tracegraph import ir
from tracegraph.errors import ParseError, UndecidableError
from tracegraph.ir import Builder, Location, ShapeEnv, TensorType, lookup, sym
from tracegraph.ir.user_line import users_lines
from tracegraph.ops.graphs.recording import Recorder

CALLS: dict[str, Callable[[Any], Any]] = {
    r"reshape\(%x: f32\[s0, 4\]\): cannot decide whether 4\*s0 == 16, which depends on s0": lambda x: x.reshape(2, 8),
    r"add\(%x: f32\[s0, 4\], f32\[3, 1\]\): cannot decide whether .* depends on s0": lambda x: x + x.new_zeros(3, 1),
    r"s0 is used as a number, which depends on s0": lambda x: int(x.shape[0]),
}


@pytest.mark.parametrize("message", CALLS)
def test_the_call_and_the_remedy_are_named(message: str) -> None:
    recorder = Recorder(Builder())
    x = recorder.traced(recorder.builder.placeholder(TensorType(tg.float32, (sym("s0"), 4)), "x"))
    with recorder.active(), pytest.raises(UndecidableError, match=f"^{message}.*dynamic=False.*mark_static"):
        CALLS[message](x)


def test_the_line_is_noted() -> None:
    builder = Builder()
    x = builder.placeholder(TensorType(tg.float32, (sym("s0"), 4)), "x")
    builder.location = Location("model.py", 4)
    with pytest.raises(UndecidableError, match=r"^view\(%x: f32\[s0, 4\]\)") as caught:
        builder.call(lookup("view"), x, size=(2, 8))
    assert users_lines(caught.value) == ["model.py:4"]
    with ShapeEnv({"s0": 4}).active():
        assert builder.call(lookup("view"), x, size=(2, 8)).shape == (2, 8)


def test_text_that_needs_a_decision_does_not_parse() -> None:
    text = "graph f(%x: f32[s0, 4]) {\n  %0: f32[2, 8] = view(%x, size=[2, 8])\n  return %0\n}"
    with pytest.raises(ParseError, match=r"line 2, column 19: view\(%x: f32\[s0, 4\]\): cannot decide"):
        ir.parse(text)
