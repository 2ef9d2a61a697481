"""What fails in a compiled graph raises eager's error from the user's lines."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg


def lookup(table: Any, i: Any) -> Any:
    scaled = table * 2
    rows = scaled[i]
    return rows + 1


def divide(a: Any, b: Any) -> Any:
    total = a + 1
    return total // b


def callee(x: Any, i: Any) -> Any:
    return x.gather(0, i)  # inlined: the line is the callee's


def call(x: Any, i: Any) -> Any:
    return callee(x.exp(), i).sum()


CASES = {
    "rows = scaled[i]": (lookup, lambda: (tg.ones(5, 3), tg.tensor([7]))),
    "return total // b": (divide, lambda: (tg.tensor([1, 2]), tg.tensor([1, 0]))),
    "return x.gather(0, i)": (call, lambda: (tg.ones(3), tg.tensor([-4]))),
}


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
@pytest.mark.parametrize("line", CASES)
def test_errors_of_elements(line: str, backend: str) -> None:
    function, make = CASES[line]
    expected = raised(function, make())
    found = raised(tg.compile(function, backend=backend), make())
    assert (type(found), str(found)) == (type(expected), str(expected))
    entries = [(f.filename, f.lineno, f.name, f.line) for f in entries_of(found) if f.filename == __file__]
    assert entries == [(f.filename, f.lineno, f.name, f.line) for f in entries_of(expected) if f.filename == __file__]
    assert entries[-1][-1].split("  #")[0] == line
    assert not hasattr(found, "__notes__")


def entries_of(error: BaseException) -> list[Any]:
    return list(traceback.extract_tb(error.__traceback__))


def raised(function: Callable[..., Any], args: tuple[Any, ...]) -> BaseException:
    with pytest.raises(Exception) as caught:
        function(*args)
    return caught.value
