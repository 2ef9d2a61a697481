"""Exceptions that leave captured functions: type, message, and the user's lines of the traceback, as in eager."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from captured import capture_of, ramp

CASES: dict[str, Callable[[Any], Any]] = {}


def case(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    CASES[function.__name__] = function
    return function


def fail(v):
    raise ValueError(f"bad {v}")


def noisy(v):
    print("noisy")
    return fail(v)


def parsed(text):
    return int(text)


@case
def directly(x):
    y = x * 2
    raise RuntimeError("direct")
    return y


@case
def in_callee(x):
    y = x * 2
    return y + fail(3)


@case
def after_break(x):
    y = x * 2
    print("before")
    z = y + 1
    return fail(4) + z


@case
def in_broken_callee(x):
    y = x + 1
    w = noisy(5)
    return y + w


@case
def by_the_broken_instruction(x):
    y = x + 1
    n = parsed(f"not a number {y.sum().item()}")
    return y * n


@case
def by_a_broken_operator(x):
    y = x.sum().item()
    return x * (y + "a")


@case
def in_try_with_other_handler(x):
    try:
        y = x * 2
        print("inside")
        fail(6)
    except KeyError:
        return y
    return x


@case
def in_try_finally(x):
    try:
        n = int(f"x{x.sum().item()}")
    finally:
        print("finally")
    return x * n


@case
def in_with_block(x):
    with warnings.catch_warnings():
        print("in with")
        y = x * 2
        fail(y.shape)
    return y


@case
def raised_again(x):
    try:
        fail(7)
    except ValueError as e:
        print("caught")
        raise KeyError("other") from e
    return x


@case
def from_an_operation(x):
    y = x + 1
    return y @ y


@case
def from_an_operation_after_break(x):
    y = x + 1
    print("go")
    return y @ y


@case
def assertion(x):
    assert x.shape[0] == 7, f"rows: {x.shape[0]}"
    return x


@case
def in_comprehension(x):
    return [fail(i) for i in range(2)]


@case
def in_generator(x):
    def rows():
        yield x
        fail("row")

    return list(rows())


@case
def in_loop_after_breaks(x):
    for i in range(4):
        print(i)
        if i == 2:
            fail(i)
    return x


@case
def attribute_of_none(x):
    y = x * 2
    none = None
    return y + none.missing


@case
def wrong_arguments(x):
    return noisy(x, 1)


@case
def missing_key(x):
    table = {"a": x}
    return table["b"]


def user_lines(error: BaseException) -> list[tuple[str, int | None, str]]:
    """The entries of the traceback that lie in this file, but for the test itself."""
    frames = traceback.extract_tb(error.__traceback__)
    return [(f.filename, f.lineno, f.name) for f in frames if f.filename == __file__ and f.name != "raised_by"]


def raised_by(function: Callable[[Any], Any]) -> BaseException:
    try:
        function(ramp())
    except Exception as e:
        return e
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("name", CASES)
def test_traceback_has_the_lines_of_eager(name: str) -> None:
    expected = raised_by(CASES[name])
    compiled = capture_of(CASES[name])
    for _ in range(2):
        actual = raised_by(compiled)
        assert (type(actual), str(actual)) == (type(expected), str(expected))
        assert user_lines(actual) == user_lines(expected)
        for link in ("__cause__", "__context__"):
            theirs, ours = getattr(expected, link), getattr(actual, link)
            assert type(ours) is type(theirs), link
            if theirs is not None:
                assert user_lines(ours) == user_lines(theirs)


def test_warning_of_a_broken_call_points_at_the_line() -> None:
    def warns(x):
        y = x * 2
        warnings.warn("look here", stacklevel=1)
        return y

    with pytest.warns(UserWarning, match="look here") as eager:
        warns(ramp())
    with pytest.warns(UserWarning, match="look here") as captured:
        capture_of(warns)(ramp())
    assert (captured[0].filename, captured[0].lineno) == (eager[0].filename, eager[0].lineno)
