"""`testing.assert_close`: what is close, what is compared, and what a failure says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.testing import assert_close


def test_close_by_the_dtype() -> None:
    one = tg.ones(3)
    assert_close(one, one + 1e-6)
    assert_close(one.half(), one.half() + 1e-3)
    for dtype in (tg.float32, tg.float64):
        with pytest.raises(AssertionError, match="Tensor-likes are not close!"):
            assert_close(one.to(dtype), one.to(dtype) + 1e-4)
    assert_close(one, one + 0.05, rtol=0.0, atol=0.1)


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        (tg.ones(2), tg.ones(3), "'shape' do not match"),
        (tg.ones(2), tg.ones(2).double(), "'dtype' do not match"),
        (tg.tensor([1, 2]), tg.tensor([1, 3]), "Tensor-likes are not equal!"),
        (tg.tensor([1.0, math.nan]), tg.tensor([1.0, math.nan]), "Mismatched elements: 1 / 2"),
        (tg.tensor([math.inf]), tg.tensor([-math.inf]), "Greatest absolute difference: inf at index"),
        (1.0, 1.1, "Scalars are not close!"),
        (1, 1.0, "types do not match"),
        (None, 0, "None mismatch"),
        ([1, 2], [1], "length of the sequences"),
        ({"a": 1}, {"b": 1}, "only in actual \\[\"'a'\"\\]"),
        ({"a": [tg.ones(1), tg.ones(1)]}, {"a": [tg.ones(1), tg.zeros(1)]}, "item \\['a'\\]\\[1\\]"),
    ],
)
def test_differences_are_found(actual: Any, expected: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_close(actual, expected)
    assert_close(actual, actual, equal_nan=True)


def test_where_the_greatest_difference_lies() -> None:
    actual = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(AssertionError) as caught:
        assert_close(actual, actual + tg.tensor([[0.0, 0.0], [0.5, 0.0]]))
    assert str(caught.value).splitlines() == [
        "Tensor-likes are not close!",
        "",
        "Mismatched elements: 1 / 4 (25.0%)",
        "Greatest absolute difference: 0.5 at index (1, 0) (up to 1e-05 allowed)",
        "Greatest relative difference: 0.14285714285714285 at index (1, 0) (up to 1.3e-06 allowed)",
    ]


def test_large_integers_are_compared_exactly() -> None:
    large = tg.tensor([2**62])
    assert_close(large, large.clone())
    with pytest.raises(AssertionError, match="not equal"):
        assert_close(large, large + 1)


def test_arguments() -> None:
    assert_close(np.ones(2, np.float32), tg.ones(2))
    assert_close(tg.ones(2), tg.ones(2).double(), check_dtype=False)
    with pytest.raises(AssertionError, match="stride"):
        assert_close(tg.ones(2, 2).T, tg.ones(2, 2), check_stride=True)
    with pytest.raises(AssertionError, match="types differ"):
        assert_close(tg.nn.Parameter(tg.ones(1)), tg.ones(1), allow_subclasses=False)
    with pytest.raises(AssertionError, match=r"^mine: Scalars"):
        assert_close(1, 2, msg=lambda text: f"mine: {text}")
    with pytest.raises(ValueRangeError, match="both rtol and atol"):
        assert_close(1, 2, rtol=0.1)
    with pytest.raises(ArgumentError, match="no tensor, number"):
        assert_close(object(), tg.ones(1))
