"""cat, stack and their kin: dtypes, empty tensors, and tensors that do not fit together."""

from __future__ import annotations

import numpy as np
import pytest

import tracegraph as tg


def test_cat_promotes_as_arithmetic_does() -> None:
    found = tg.cat([tg.ones(2, dtype=tg.int64), tg.ones(1, dtype=tg.float16)])
    assert found.dtype is tg.float16
    assert tg.cat([tg.ones(1, dtype=tg.bool), tg.ones(1, dtype=tg.uint8)]).dtype is tg.uint8


def test_cat_leaves_out_empty_vectors() -> None:
    assert tg.cat([tg.zeros(0), tg.ones(2, 3)], dim=1).shape == (2, 3)
    assert tg.cat([tg.zeros(0), tg.zeros(0)]).shape == (0,)


def test_the_result_of_cat_is_fresh() -> None:
    x = tg.ones(3)
    assert not np.shares_memory(tg.cat([x]).numpy(), x.numpy())


def test_gradients_reach_each_operand_once_per_use() -> None:
    x = tg.ones(2, requires_grad=True)
    y = tg.ones(1, dtype="float64", requires_grad=True)
    (tg.cat([x, y, x]) * tg.arange(5.0)).sum().backward()
    assert x.grad.tolist() == [3, 5]
    assert y.grad.tolist() == [2]
    assert y.grad.dtype is tg.float64


def test_grids() -> None:
    a, b = tg.meshgrid(tg.arange(2), tg.arange(3), indexing="ij")
    assert a.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert b.tolist() == [[0, 1, 2]] * 2
    c, _ = tg.meshgrid([tg.arange(2), tg.arange(3)], indexing="xy")
    assert c.tolist() == [[0, 1]] * 3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tg.cat([]), ValueError, "at least one Tensor"),
        (lambda: tg.cat([1, 2]), TypeError, r"tensors\[0\] must be a Tensor, got 1"),
        (lambda: tg.cat([tg.tensor(1), tg.tensor(2)]), RuntimeError, "0-d tensor cannot be concatenated; use stack"),
        (
            lambda: tg.cat([tg.ones(2, 3), tg.ones(2, 4)]),
            RuntimeError,
            r"tensors\[1\] is f32\[2, 4\], tensors\[0\] is f32\[2, 3\]; .* every dimension but 0",
        ),
        (lambda: tg.cat([tg.ones(2), tg.ones(2, 1)]), RuntimeError, r"tensors\[1\] is f32\[2, 1\]"),
        (lambda: tg.cat([tg.ones(2)], dim=1), IndexError, "dim=1 is out of range"),
        (lambda: tg.stack([tg.ones(2), tg.ones(3)]), RuntimeError, "must have equal shapes"),
        (lambda: tg.meshgrid(tg.ones(2, 2)), RuntimeError, "must be vectors"),
        (lambda: tg.meshgrid(tg.ones(2), indexing="yx"), ValueError, "'ij' or 'xy'"),
        (lambda: tg.broadcast_tensors(tg.ones(2), tg.ones(3)), RuntimeError, "do not broadcast"),
    ],
)
def test_refusals(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
