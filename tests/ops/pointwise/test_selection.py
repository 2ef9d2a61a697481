"""where, masked_fill and nan_to_num: dtypes, conditions, gradients past nan."""

from __future__ import annotations

import math

import pytest

import tracegraph as tg
from tracegraph.errors import DTypeError


def test_where_promotes_the_branches_only() -> None:
    condition = tg.tensor([True, False])
    assert tg.where(condition, tg.tensor([1, 2]), 0.5).tolist() == [1.0, 0.5]
    assert tg.where(condition, 1, tg.tensor([5, 6], dtype=tg.int8)).dtype is tg.int8
    assert tg.where(condition, 1, 2).dtype is tg.int64
    assert tg.tensor([1.0, 2.0]).where(condition, 0).tolist() == [1.0, 0.0]


def test_conditions_must_be_bool() -> None:
    with pytest.raises(DTypeError, match="the condition must be bool, got i64"):
        tg.where(tg.tensor([1, 0]), 1, 2)
    with pytest.raises(DTypeError, match="the mask must be bool, got f32"):
        tg.tensor([1.0]).masked_fill(tg.tensor([1.0]), 0)


def test_where_without_branches_gives_positions() -> None:
    rows, columns = tg.where(tg.tensor([[0, 1], [1, 0]]) == 1)
    assert rows.tolist() == [0, 1]
    assert columns.tolist() == [1, 0]


def test_no_gradient_comes_from_elements_not_chosen() -> None:
    x = tg.tensor([4.0, -1.0], requires_grad=True)
    tg.where(x > 0, x.sqrt(), 0.0).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist()[0] == 0.25


def test_masked_fill_keeps_the_dtype() -> None:
    filled = tg.tensor([1, 2]).masked_fill(tg.tensor([True, False]), 7.9)
    assert filled.dtype is tg.int64
    assert filled.tolist() == [7, 2]


@pytest.mark.parametrize(("dtype", "largest"), [(tg.float16, 65504.0), (tg.bfloat16, 3.3895313892515355e38)])
def test_nan_to_num_replaces_by_limits_of_the_dtype(dtype: tg.DType, largest: float) -> None:
    x = tg.tensor([math.nan, math.inf, -math.inf], dtype=dtype)
    assert x.nan_to_num().tolist() == [0.0, largest, -largest]
    assert x.nan_to_num(1.0, 2.0, 3.0).tolist() == [1.0, 2.0, 3.0]
