"""Result dtypes, empty reductions, precision and gradients of reductions."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError


def gradient(function: object, values: object) -> list:
    x = tg.tensor(values, requires_grad=True)
    function(x).sum().backward()
    assert x.grad is not None
    return x.grad.tolist()


@pytest.mark.parametrize(
    ("op", "source", "result"),
    [
        (tg.sum, tg.bool, tg.int64),
        (tg.sum, tg.uint8, tg.int64),
        (tg.sum, tg.bfloat16, tg.bfloat16),
        (tg.prod, tg.int32, tg.int64),
        (tg.amax, tg.uint8, tg.uint8),
        (tg.any, tg.float32, tg.bool),
        (tg.all, tg.uint8, tg.uint8),
        (tg.argmax, tg.float16, tg.int64),
        (tg.count_nonzero, tg.float32, tg.int64),
    ],
)
def test_result_dtype(op: object, source: tg.DType, result: tg.DType) -> None:
    assert op(tg.tensor([1, 0, 1]).to(source)).dtype is result


def test_dtype_argument() -> None:
    x = tg.tensor([100, 100], dtype=tg.int8)
    assert x.sum(dtype=tg.int8).item() == -56
    assert x.mean(dtype=tg.float64).dtype is tg.float64
    with pytest.raises(DTypeError, match=r"mean: .*int8; pass dtype=tracegraph.float32"):
        x.mean()


def test_nothing_to_reduce() -> None:
    x = tg.Tensor(np.zeros((0, 3), np.float32))
    assert x.sum().item() == 0
    assert x.prod().item() == 1
    assert math.isnan(x.mean().item())
    assert x.sum(0).tolist() == [0.0, 0.0, 0.0]
    assert x.any().item() is False
    assert x.all().item() is True
    assert x.logsumexp(0).tolist() == [-math.inf] * 3
    assert x.amax(1).shape == (0,)
    for op in (tg.max, tg.min, tg.amax, tg.argmax):
        with pytest.raises(ShapeError, match="no elements to choose from"):
            op(x)
    for op in (tg.amax, tg.argmin, tg.max):
        with pytest.raises(IndexRangeError, match=r"dim=.*has size 0"):
            op(x, dim=0)


def test_dims() -> None:
    x = tg.Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert x.sum((-1, 0)).tolist() == x.numpy().sum((0, 2)).tolist()
    assert x.sum(dim=()).item() == 276
    assert x.sum(axis=1, keepdims=True).shape == (2, 1, 4)
    assert tg.tensor(3.0).sum(0).item() == 3
    with pytest.raises(IndexError, match=r"sum: dim=3 is out of range"):
        x.sum(3)
    with pytest.raises(ArgumentError, match="names a dimension twice"):
        x.sum((0, -3))


def test_sixteen_bit_sums_accumulate_in_float32() -> None:
    ones = tg.Tensor(np.ones(4096, np.float16))
    assert ones.sum().item() == 4096
    assert ones.to(tg.bfloat16).sum().item() == 4096
    assert (ones * 100).mean().item() == 100  # the sum itself is beyond float16


def test_max_means_three_things() -> None:
    x = tg.tensor([[1.0, 5.0], [7.0, 3.0]])
    assert x.max().item() == 7
    values, indices = x.max(dim=1)
    assert values.tolist() == [5, 7]
    assert indices.tolist() == [1, 0]
    assert x.max(1).indices.tolist() == [1, 0]
    assert x.min(0, True).values.shape == (1, 2)
    assert x.max(tg.tensor(4.0)).tolist() == [[4, 5], [7, 4]]
    assert tg.max(x, other=tg.tensor(4.0)).tolist() == [[4, 5], [7, 4]]


def test_nan_is_extreme() -> None:
    x = tg.tensor([1.0, math.nan, 3.0])
    assert math.isnan(x.max().item())
    assert x.argmax().item() == x.argmin().item() == 1
    assert x.max(0).indices.item() == 1


def test_ties() -> None:
    """Values alone divide the gradient; with a position, the first gets all of it."""
    tied = [2.0, 5.0, 5.0]
    assert gradient(lambda x: x.amax(0), tied) == [0, 0.5, 0.5]
    assert gradient(lambda x: x.max(), tied) == [0, 0.5, 0.5]
    assert gradient(lambda x: x.max(0).values, tied) == [0, 1, 0]
    assert tg.tensor(tied).argmax().item() == 1


@pytest.mark.parametrize(
    ("values", "wanted"), [([2.0, 3.0, 4.0], [12, 8, 6]), ([2.0, 0.0, 4.0], [0, 8, 0]), ([0.0, 0.0, 4.0], [0, 0, 0])]
)
def test_gradient_of_prod_with_zeros(values: list[float], wanted: list[float]) -> None:
    assert gradient(lambda x: x.prod(), values) == wanted
    assert gradient(lambda x: x.prod(0), values) == wanted


def test_sum_to_size() -> None:
    x = tg.Tensor(np.ones((4, 3, 5)))
    assert x.sum_to_size(3, 1).tolist() == [[20.0]] * 3
    assert x.sum_to_size((1,)).shape == (1,)
    for size in ((4,), (2, 4, 3, 5)):
        with pytest.raises(ShapeError, match="sum_to_size"):
            x.sum_to_size(size)


def test_nansum_and_nanmean() -> None:
    x = tg.tensor([[1.0, math.nan], [math.nan, math.nan]])
    assert x.nansum(1).tolist() == [1.0, 0.0]
    np.testing.assert_array_equal(x.nanmean(1).numpy(), [1.0, math.nan])
