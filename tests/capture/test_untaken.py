"""What the branch of an eager cond that is not taken would have read."""

from __future__ import annotations

from unittest import mock

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
