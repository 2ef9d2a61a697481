"""Casts: truncation, wrapping, truth, rounding to 16 bits."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tracegraph as tg


@pytest.mark.parametrize(
    ("values", "source", "target", "wanted"),
    [
        ([1.9, -1.9], tg.float32, tg.int32, [1, -1]),
        ([300, -1], tg.int64, tg.uint8, [44, 255]),
        ([0.5, -0.0, math.nan], tg.float32, tg.bool, [True, False, True]),
        ([True, False], tg.bool, tg.float16, [1.0, 0.0]),
        ([1.0 + 2**-9], tg.float32, tg.bfloat16, [1.0]),
        ([1.0 + 3 * 2**-8], tg.float32, tg.bfloat16, [1.0 + 2**-6]),
        ([70000.0], tg.float32, tg.float16, [math.inf]),
        ([2**53 + 1], tg.int64, tg.float64, [2.0**53]),
    ],
)
def test_values(values: list, source: tg.DType, target: tg.DType, wanted: list) -> None:
    assert tg.tensor(values, dtype=source).to(target).tolist() == wanted


def test_gradients_come_back_in_the_input_dtype() -> None:
    x = tg.tensor([1.0, 2.0], dtype=tg.float16, requires_grad=True)
    (x.to(tg.float64) * 3).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype is tg.float16
    assert x.grad.tolist() == [3.0, 3.0]


def test_clone_is_row_major_and_apart() -> None:
    x = tg.Tensor(np.arange(6.0).reshape(2, 3))
    copy = x.T.clone()
    assert copy.is_contiguous()
    copy.zero_()
    assert x.sum().item() == 15
