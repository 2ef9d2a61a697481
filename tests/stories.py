"""Stories of a world that changes between calls: each is told twice, eagerly and captured, and must go alike.

A story is a generator function: it yields (function, arguments), changes something, and goes on.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from captured import assert_same, capture_of, observe, ramp

from tracegraph.tensor import Tensor

Story = Callable[[], Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]]


def x(*shape: int) -> Tensor:
    """A small tensor."""
    return ramp(*(shape or (3,)))


def stories_of(names: dict[str, Any]) -> dict[str, Story]:
    """The stories that a module defines, by name."""
    own = names["__name__"]
    return {n: v for n, v in list(names.items()) if inspect.isgeneratorfunction(v) and v.__module__ == own}


def told(story: Story, prepare: Callable[[Any], Any]) -> list[Any]:
    """What each call of the story did."""
    functions: dict[int, Any] = {}
    outcomes = []
    for function, args in story():
        prepared, _ = functions.setdefault(id(function), (prepare(function), function))
        outcomes.append(observe(prepared, args))
    return outcomes


def check(story: Story) -> None:
    """Eager and captured calls of the story agree."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = told(story, lambda f: f)
        actual = told(story, lambda f: capture_of(f, recompile_limit=100))
    assert len(actual) == len(expected) > 1
    for a, e in zip(actual, expected, strict=True):
        assert a.error == e.error
        assert_same(a.result, e.result)
