"""Softmax and its logarithm where a plain formula fails."""

import numpy as np
import pytest

import tracegraph as tg


def test_large_scores_do_not_overflow():
    x = tg.tensor([1000.0, 1000.0, -1000.0])
    assert tg.softmax(x, 0).tolist() == [0.5, 0.5, 0.0]
    np.testing.assert_allclose(tg.log_softmax(x, 0).numpy(), [-np.log(2), -np.log(2), -2000 - np.log(2)], rtol=1e-6)


def test_minus_infinity_gets_no_weight():
    x = tg.tensor([0.0, -np.inf], requires_grad=True)
    y = tg.softmax(x, 0)
    y[0].backward()
    assert y.tolist() == [1.0, 0.0]
    assert x.grad.tolist() == [0.0, 0.0]


def test_nothing_to_normalise():
    assert tg.softmax(tg.zeros(3, 0), 1).shape == (3, 0)
    assert tg.softmax(tg.tensor(5.0), 0).item() == 1.0


def test_half_precision_is_computed_in_float32(rng):
    x = rng.standard_normal((2, 4096)).astype(np.float16)
    exponentials = np.exp(x.astype(np.float64))
    wanted = exponentials / exponentials.sum(1, keepdims=True)
    np.testing.assert_allclose(tg.softmax(tg.tensor(x), 1).numpy(), wanted, rtol=2e-3, atol=6e-8)


def test_dtype_converts_first():
    found = tg.softmax(tg.tensor([1, 2]), 0, dtype=tg.float64)
    assert found.dtype is tg.float64
    np.testing.assert_allclose(found.numpy(), np.exp([1, 2]) / np.exp([1, 2]).sum())


def test_integers_are_refused():
    with pytest.raises(RuntimeError, match=r"softmax: not defined for i64\[2\]"):
        tg.softmax(tg.tensor([1, 2]), 0)


def test_softmin_is_the_softmax_of_the_negative(rng):
    x = tg.tensor(rng.standard_normal((2, 3)))
    np.testing.assert_array_equal(tg.softmin(x, 1).numpy(), tg.softmax(-x, 1).numpy())
