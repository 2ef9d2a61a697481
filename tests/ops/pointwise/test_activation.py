"""Activations at their kinks and far from 0."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.errors import DTypeError, ValueRangeError
from tracegraph.ops import functional as F


def slope(function: object, at: list[float]) -> list[float]:
    x = tg.tensor(at, requires_grad=True)
    function(x).sum().backward()
    assert x.grad is not None
    return x.grad.tolist()


@pytest.mark.parametrize(
    ("function", "kinks", "wanted"),
    [
        (F.relu, [0.0, -0.0], [0, 0]),
        (F.relu6, [0.0, 6.0], [0, 0]),
        (F.hardtanh, [-1.0, 1.0], [0, 0]),
        (F.leaky_relu, [0.0], [0.01]),
        (F.elu, [0.0], [1]),
        (F.hardsigmoid, [-3.0, 3.0], [0, 0]),
        (F.hardswish, [-3.0, 3.0], [0, 1]),
        (F.hardshrink, [0.5, -0.5], [0, 0]),
        (F.softshrink, [0.5, -0.5], [0, 0]),
    ],
)
def test_gradients_at_kinks(function: object, kinks: list[float], wanted: list[float]) -> None:
    assert slope(function, kinks) == pytest.approx(wanted)


def test_far_from_zero() -> None:
    x = tg.tensor([-1000.0, 1000.0])
    assert F.sigmoid(x).tolist() == [0, 1]
    assert F.softplus(x).tolist() == [0, 1000]
    assert F.logsigmoid(x).tolist() == [-1000, 0]
    assert F.silu(x).tolist() == [0, 1000]
    assert F.gelu(x).tolist() == [0, 1000]
    assert F.gelu(x, approximate="tanh").tolist() == [0, 1000]
    assert F.mish(x).tolist() == [0, 1000]
    assert tg.logaddexp(x, x).tolist() == pytest.approx([-1000 + math.log(2), 1000 + math.log(2)])
    assert slope(F.softplus, [-1000.0, 1000.0]) == [0, 1]
    assert slope(F.logsigmoid, [-1000.0, 1000.0]) == [1, 0]


def test_nan_stays_nan() -> None:
    x = tg.tensor([math.nan])
    for function in (F.relu, F.relu6, F.hardtanh, F.leaky_relu, F.elu, F.gelu, F.silu, F.hardswish, F.softshrink):
        assert math.isnan(function(x).item()), function


def test_gelu_is_the_normal_distribution() -> None:
    x = np.linspace(-5, 5, 101)
    wanted = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x]
    np.testing.assert_allclose(F.gelu(tg.Tensor(x)).numpy(), wanted, rtol=1e-9, atol=1e-16)


def test_prelu_has_a_slope_per_channel() -> None:
    x = -tg.Tensor(np.ones((2, 3, 4), np.float32))
    weight = tg.tensor([0.1, 0.2, 0.3], requires_grad=True)
    y = F.prelu(x, weight)
    assert y[0, :, 0].tolist() == pytest.approx([-0.1, -0.2, -0.3])
    y.sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [-8.0, -8.0, -8.0]


def test_arguments() -> None:
    with pytest.raises(ValueRangeError, match="'none' or 'tanh', got 'erf'"):
        F.gelu(tg.tensor([1.0]), approximate="erf")
    with pytest.raises(ValueRangeError, match=r"min_val=2\.0 is above max_val=1\.0"):
        F.hardtanh(tg.tensor([1.0]), 2.0, 1.0)
    with pytest.raises(DTypeError, match=r"gelu.*not defined for dtype int64"):
        F.gelu(tg.tensor([1]))
    assert F.relu(tg.tensor([-1, 2])).tolist() == [0, 2]
