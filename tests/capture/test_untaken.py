"""What the branch of an eager cond that is not taken would have read."""

from __future__ import annotations

import builtins
import functools
from typing import Any
from unittest import mock

import pytest

import tracegraph as tg
from tracegraph.capture import untaken


def with_gradients(is_first: bool) -> tuple[bool, bool]:
    """Whether each of two tensors has a gradient, of which a branch that is not taken reads one."""
    first, second, x = (tg.ones(3, requires_grad=True) for _ in range(3))
    result = tg.cond(tg.tensor(True), lambda x: x * 2, lambda x: x * (first if is_first else second), (x,))
    result.sum().backward()
    return first.grad is not None, second.grad is not None


def test_what_is_known_of_a_branch_holds_only_where_its_guards_do() -> None:
    for is_first in (True, False, True, False):
        assert with_gradients(is_first) == (is_first, not is_first)


def test_a_branch_is_captured_once() -> None:
    with_gradients(True)
    with mock.patch.object(untaken, "capture", side_effect=AssertionError("captured again")) as capture:
        assert with_gradients(True) == (True, False)
    capture.assert_not_called()


def test_a_branch_is_captured_again_only_when_what_it_reads_changes() -> None:
    first, second = (tg.ones(3, requires_grad=True) for _ in range(2))
    read = {"by": first, "scale": 1.0}

    def other(x: tg.Tensor) -> tg.Tensor:
        return x * read["by"] * read["scale"] if read["scale"] > 0 else x * 2

    assert attempts_of(other, 3) == 1
    assert (first.grad.tolist(), second.grad) == ([0.0] * 3, None)
    read["scale"] = -1.0
    assert attempts_of(other, 3) == 1
    read["by"], read["scale"] = second, 1.0
    assert attempts_of(other, 3) == 0
    assert second.grad.tolist() == [0.0] * 3


def attempts_of(other: Any, calls: int) -> int:
    """How often the branch `other`, never taken, is captured in several calls."""
    x = tg.ones(3, requires_grad=True)
    with mock.patch.object(untaken, "capture", wraps=untaken.capture) as capture:
        for _ in range(calls):
            tg.cond(tg.tensor(True), lambda x: x * 2, other, (x,)).sum().backward()
    return capture.call_count


def raising(x: tg.Tensor) -> tg.Tensor:
    raise ValueError


def breaking(x: tg.Tensor) -> tg.Tensor:
    return x * float(x.sum())


class Scaling:
    def __init__(self, factor: tg.Tensor) -> None:
        self.factor = factor

    def __call__(self, x: tg.Tensor) -> tg.Tensor:
        return x * self.factor

    def scaled(self, x: tg.Tensor) -> tg.Tensor:
        return self(x)


@pytest.mark.parametrize("other", [raising, breaking, functools.partial(raising)])
def test_a_branch_that_cannot_be_captured_is_not_tried_for_ever(other: Any) -> None:
    assert attempts_of(other, 10) <= 4
    assert attempts_of(other, 10) == 0


@pytest.mark.parametrize(
    "other", [Scaling(tg.ones(3)), Scaling(tg.ones(3)).scaled, functools.partial(tg.mul, tg.ones(3)), tg.sin]
)
def test_a_branch_that_is_no_function_is_captured_once(other: Any) -> None:
    attempts_of(other, 1)
    assert attempts_of(other, 5) == 0


def test_what_fails_for_some_operands_does_not_displace_what_is_known() -> None:
    factor, works = tg.ones(3, requires_grad=True), True

    def other(x: tg.Tensor) -> tg.Tensor:
        return x * factor if works else x * float(x.sum())

    attempts_of(other, 1)
    works = False
    attempts_of(other, 20)
    works, factor.grad = True, None
    assert attempts_of(other, 1) == 0
    assert factor.grad is not None


@mock.patch.object(untaken, "capture", side_effect=AssertionError("of ours"))
def test_an_error_of_capture_is_told_once(capture: mock.Mock) -> None:
    def other(x: tg.Tensor) -> tg.Tensor:
        return x * 3

    with pytest.warns(RuntimeWarning, match="AssertionError: of ours. Please report this") as told:
        attempts_of(other, 3)
    assert (len(told), capture.call_count) == (1, 1)


def test_nothing_is_compiled_for_a_call_that_is_known() -> None:
    with_gradients(True)
    with mock.patch.object(builtins, "exec", side_effect=AssertionError("compiled")):
        assert with_gradients(True) == (True, False)
