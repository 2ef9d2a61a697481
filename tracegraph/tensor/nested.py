"""Nested sequences of numbers: what keeps them from being a tensor, said in terms of the sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.core.arguments import described


def check_nested(data: Any, place: str) -> tuple[int, ...]:
    """The shape of nested lists and tuples of numbers; `place` is how messages call them.

    Raises:
        ArgumentError: an element is no bool, integer or float.
        ValueRangeError: sequences beside one another have different lengths, or an integer does not fit 64 bits.
    """
    if isinstance(data, np.ndarray):
        return data.shape
    if not isinstance(data, list | tuple):
        _check_number(data, place)
        return ()
    shapes = [check_nested(item, f"{place}[{i}]") for i, item in enumerate(data)]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueRangeError(
                f"tensor(): the rows of a tensor must be equally long; {place}[0] {_extent(shapes[0])}, {place}[{i}] "
                f"{_extent(shape)}; pad or cut them to one length"
            )
    return (len(shapes), *(shapes[0] if shapes else ()))


def _check_number(value: Any, place: str) -> None:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueRangeError(f"tensor(): {place} is {value}, which no integer dtype can hold")
    if not isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        raise ArgumentError(
            f"tensor(): {place} is {described(value)}; a tensor is made of bools, integers and floats, nested lists of "
            "them or a numpy array"
        )


def _extent(shape: tuple[int, ...]) -> str:
    if not shape:
        return "is a number"
    return f"has length {shape[0]}" if len(shape) == 1 else f"has shape {list(shape)}"
