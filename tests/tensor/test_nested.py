"""Data that is no tensor: the message says which item, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracegraph as tg


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([[1], [1, 2]], r"data\[0\] has length 1, data\[1\] has length 2; pad or cut them"),
        ([1, [2]], r"data\[0\] is a number, data\[1\] has length 1"),
        ([[[1, 2]], [[1, 2], [3, 4]]], r"data\[0\] has shape \[1, 2\], data\[1\] has shape \[2, 2\]"),
        ([[1, 2], [[1], [1, 2]]], r"data\[1\]\[0\] has length 1, data\[1\]\[1\] has length 2"),
        ([tg.ones(2), tg.ones(3)], r"data\[0\] has length 2, data\[1\] has length 3"),
        ([np.ones(2), np.ones(3)], r"data\[0\] has length 2, data\[1\] has length 3"),
        ([1, 2**70], rf"data\[1\] is {2**70}, which no integer dtype can hold"),
        (2**63, f"data holds {2**63}, which int64"),
    ],
)
def test_values_that_do_not_fit(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tg.tensor(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, "a"], r"data\[1\] is 'a' \(str\); a tensor is made of"),
        (None, "data is None"),
        ([[1], [None]], r"data\[1\]\[0\] is None"),
        (1j, r"data is 1j \(complex\)"),
        ({1: 2}, r"data is \{1: 2\} \(dict\)"),
        (np.array(["a"]), "numpy dtype <U1 has no tracegraph counterpart"),
    ],
)
def test_values_of_another_type(data: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        tg.tensor(data)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [([300], tg.uint8), (-300, tg.uint8), ([1, [200]][1], tg.int8), (float("inf"), tg.int64), (float("nan"), tg.int32)],
    ids=str,
)
def test_numbers_that_do_not_fit(data, dtype):
    with pytest.raises(ValueError, match=r"tensor\(\): data holds .* cannot hold"):
        tg.tensor(data, dtype=dtype)


def test_numbers_that_wrap_and_truncate_as_in_pytorch():
    assert tg.tensor([-1, 255], dtype=tg.uint8).tolist() == [255, 255]
    assert tg.tensor([1.5, -2.5], dtype=tg.int64).tolist() == [1, -2]
