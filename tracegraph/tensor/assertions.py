"""PyTorch's assertions as functions; in captured code the graph checks them (`capture/protocols/branches.py`)."""

from __future__ import annotations

from typing import Any


def _assert(condition: Any, message: str) -> None:
    """`assert condition, message`, whatever Python is told of assertions.

    Raises:
        AssertionError: the condition is false.
    """
    if not condition:
        raise AssertionError(message)


def _assert_async(input: Any, assert_msg: str = "Expected Tensor with single nonzero value, but got zero") -> None:
    """Assert that the one element of a tensor is true, that is other than 0.

    Raises:
        RuntimeError: it is not.
    """
    if not input:
        raise RuntimeError(assert_msg)
