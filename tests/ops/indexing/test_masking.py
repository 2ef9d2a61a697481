"""Results whose size depends on data, triangles, and one-hot classes."""

from __future__ import annotations

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.errors import ElementError
from tracegraph.ops import functional as F

X = np.array([[0.0, 2.0, np.nan], [-0.0, 0.0, 5.0]], np.float32)


def test_nonzero_agrees_with_numpy() -> None:
    np.testing.assert_array_equal(tg.nonzero(tg.tensor(X)).numpy(), np.argwhere(X))
    for found, wanted in zip(tg.tensor(X).nonzero(as_tuple=True), np.nonzero(X), strict=True):
        np.testing.assert_array_equal(found.numpy(), wanted)


def test_nonzero_of_a_0d_tensor() -> None:
    assert tg.tensor(3).nonzero().shape == (1, 0)
    assert tg.tensor(0).nonzero().shape == (0, 0)
    assert tg.tensor(3).nonzero(as_tuple=True)[0].tolist() == [0]


def test_masked_select_broadcasts_and_differentiates() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    found = x.masked_select(tg.tensor([True, False]))
    assert found.tolist() == [1, 3]
    (found * tg.tensor([10.0, 20.0])).sum().backward()
    assert x.grad.tolist() == [[10, 0], [20, 0]]
    vector = tg.tensor([1.0, 2.0], requires_grad=True)
    vector.masked_select(tg.tensor([[True, True], [False, True]])).sum().backward()
    assert vector.grad.tolist() == [1, 2]


def test_masked_scatter_takes_elements_in_order() -> None:
    mask = tg.tensor([[True, False], [True, True]])
    source = tg.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    found = tg.zeros(2, 2).masked_scatter(mask, source)
    assert found.tolist() == [[1, 0], [2, 3]]
    (found * tg.tensor([[5.0, 6.0], [7.0, 8.0]])).sum().backward()
    assert source.grad.tolist() == [5, 7, 8, 0]
    assert tg.ones(2).masked_scatter(tg.tensor([False, False]), tg.zeros(0)).tolist() == [1, 1]


@pytest.mark.parametrize("diagonal", range(-4, 5))
def test_triangle_indices_agree_with_numpy(diagonal: int) -> None:
    np.testing.assert_array_equal(tg.tril_indices(3, 4, diagonal).numpy(), np.tril_indices(3, diagonal, 4))
    np.testing.assert_array_equal(tg.triu_indices(3, 4, diagonal).numpy(), np.triu_indices(3, diagonal, 4))


def test_one_hot_counts_classes() -> None:
    assert F.one_hot(tg.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert F.one_hot(tg.tensor([[1]]), 2).shape == (1, 1, 2)


def test_repeat_interleave_by_counts() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for options in ({}, {"output_size": 3}):
        found = x.repeat_interleave(tg.tensor([1, 2]), 0, **options)
        assert found.tolist() == [[1, 2], [3, 4], [3, 4]]
    found.sum().backward()
    assert x.grad.tolist() == [[1, 1], [2, 2]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.one_hot(tg.tensor([3]), 3), ElementError, r"smaller than num_classes \(3\)"),
        (lambda: F.one_hot(tg.tensor([-1]), 3), ElementError, "must not be negative"),
        (lambda: F.one_hot(tg.tensor([1.0]), 3), RuntimeError, "classes must be int64"),
        (lambda: tg.ones(2).masked_select(tg.ones(2)), RuntimeError, "mask must be bool"),
        (lambda: tg.ones(2).masked_select(tg.ones(3).bool()), RuntimeError, "do not broadcast"),
        (lambda: tg.ones(2).masked_scatter(tg.ones(2).bool(), tg.ones(1)), IndexError, "index 1 is out of bounds"),
        (lambda: tg.ones(2).tril(), RuntimeError, "at least 2 dimensions"),
        (lambda: tg.ones(2).repeat_interleave(tg.tensor([-1, 1])), ValueError, "must not be negative, got -1"),
        (lambda: tg.ones(2).repeat_interleave(tg.tensor([1, 1, 1])), RuntimeError, "do not fit a dimension of size 2"),
        (lambda: tg.ones(2, 2).repeat(2), RuntimeError, "fewer numbers"),
    ],
)
def test_refusals(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
