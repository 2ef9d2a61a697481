"""Exceptions that arise while a graph runs say which line of the user's program they belong to."""

from __future__ import annotations

import traceback

import numpy as np
import pytest

from tracegraph import ir
from tracegraph.errors import IndexRangeError
from tracegraph.ir.user_line import note_user_line, source_line, users_lines

TEXT = """graph f(%x: f32[5], %i: i64[2]) {
  %0: f32[5] = exp(%x)                // model.py:3
  %1: f32[2] = gather(%0, %i, dim=0)  // model.py:4
  return %1
}"""


def test_the_interpreter_notes_the_line_under_the_message() -> None:
    with pytest.raises(IndexRangeError, match=r"gather: index 7 .* size 5") as caught:
        ir.interpret(ir.parse(TEXT), np.zeros(5, np.float32), np.array([0, 7]))
    assert users_lines(caught.value) == ["model.py:4"]
    assert traceback.format_exception_only(caught.value)[-1] == "  at model.py:4\n"


def test_the_innermost_line_stays() -> None:
    first, second = (node for node in ir.parse(TEXT).calls)
    error = ValueError("wrong")
    note_user_line(error, second)
    note_user_line(error, first)
    assert users_lines(error) == ["model.py:4"]
    assert str(error) == "wrong"


def test_source_is_shown_where_the_file_is_certain() -> None:
    assert source_line(ir.Location(__file__, 1)).endswith(
        'test_user_line.py:1: """Exceptions that arise while a graph runs say which line of the user\'s program they '
        'belong to."""'
    )
    assert source_line(ir.Location("test_user_line.py", 1)) == "test_user_line.py:1"
    assert source_line(ir.Location(__file__, 10**6)) == f"{__file__}:1000000"
