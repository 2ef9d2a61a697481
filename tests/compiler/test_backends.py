"""What a backend of the user's own returns is checked, and it is named when it is not what it must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg


def number(module: Any, inputs: Any) -> Callable[..., Any]:
    return lambda *args: 5


def too_many(module: Any, inputs: Any) -> Callable[..., Any]:
    return lambda *args: (*module(*args), 1)


@pytest.mark.parametrize(("backend", "got"), [(number, r"got 5 \(int\)"), (too_many, "got 2 of them")])
def test_results_that_are_not_those_of_the_graph(backend: Any, got: str) -> None:
    compiled = tg.compile(lambda x: x + 1, backend=backend)
    with pytest.raises(tg.TracegraphError, match=rf"backend {backend.__name__}: .* a sequence of 1 results, {got}"):
        compiled(tg.ones(2))
