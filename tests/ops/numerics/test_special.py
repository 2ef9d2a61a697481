"""Special functions against scipy, over their whole domains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special as scipy_special

import tracegraph as tg
from tracegraph.ops.numerics import special

RNG = np.random.default_rng(0)
POINTS = {
    "erf": np.concatenate([RNG.uniform(-6, 6, 4000), RNG.normal(size=1000) * 1e-4]),
    "erfc": np.concatenate([RNG.uniform(-6, 26, 4000), RNG.normal(size=1000) * 1e-4]),
    "erfinv": np.concatenate([RNG.uniform(-1, 1, 4000), 1 - 10.0 ** RNG.uniform(-15, 0, 1000)]),
    "lgamma": np.concatenate([RNG.uniform(0, 12, 4000), 10.0 ** RNG.uniform(-8, 8, 1000), -RNG.uniform(0, 9, 1000)]),
}
REFERENCE: dict[str, Any] = {"lgamma": scipy_special.gammaln}


def distance(found: np.ndarray, wanted: np.ndarray, dtype: Any) -> float:
    """Largest error in units of the last place of max(|wanted|, smallest normal)."""
    size = np.maximum(np.abs(wanted), np.finfo(dtype).tiny).astype(dtype)
    return float(np.max(np.abs(found.astype(np.float64) - wanted) / np.spacing(size)))


@pytest.mark.parametrize("name", POINTS)
def test_float32(name: str) -> None:
    x = POINTS[name].astype(np.float32)
    x = x[(np.abs(x) < 1) | (name != "erfinv")]
    if name == "lgamma":
        x = x[x > 0]  # the reflection is tested in float64
    wanted = REFERENCE.get(name, getattr(scipy_special, name, None))(x.astype(np.float64))
    normal = np.abs(wanted) > np.finfo(np.float32).tiny
    assert distance(getattr(special, name)(x)[normal], wanted[normal], np.float32) <= 8


@pytest.mark.parametrize(("name", "tolerance"), [("erf", 5e-16), ("erfc", 3e-13), ("erfinv", 2e-15), ("lgamma", 3e-15)])
def test_float64(name: str, tolerance: float) -> None:
    x = POINTS[name]
    wanted = REFERENCE.get(name, getattr(scipy_special, name, None))(x)
    # lgamma is measured against 1 where it is small: it has zeros, at the negative ones scipy has errors of its own
    floor = 1.0 if name == "lgamma" else 0.0
    np.testing.assert_array_less(
        np.abs(getattr(special, name)(x) - wanted), tolerance * np.maximum(np.abs(wanted), floor)
    )


def test_lgamma_near_its_zeros() -> None:
    """log(gamma(1 + t)) = -euler * t + zeta(2) t**2 / 2 - ..., to full relative accuracy."""
    t = np.array([1e-10, -1e-10, 1e-6, -1e-6])
    t = (1 + t) - 1
    series = -np.euler_gamma * t + np.pi**2 / 12 * t * t
    np.testing.assert_allclose(special.lgamma(1 + t), series, rtol=1e-11)


@pytest.mark.parametrize(
    ("function", "x", "wanted"),
    [
        (special.erf, [-0.0, np.inf, -np.inf, np.nan], [-0.0, 1, -1, np.nan]),
        (special.erfc, [np.inf, -np.inf, np.nan, 40], [0, 2, np.nan, 0]),
        (special.erfinv, [-0.0, 1, -1, 1.5, np.nan], [-0.0, np.inf, -np.inf, np.nan, np.nan]),
        (special.lgamma, [0, -0.0, -3, np.inf, -np.inf, 1, 2, np.nan], [np.inf] * 5 + [0, 0, np.nan]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edges(function: Callable[[Any], Any], x: list[float], wanted: list[float], dtype: Any) -> None:
    found = function(np.array(x, dtype))
    np.testing.assert_array_equal(found, np.array(wanted, dtype))
    signed = found == 0
    if function is not special.lgamma:
        np.testing.assert_array_equal(np.signbit(found[signed]), np.signbit(np.array(wanted)[signed]))


def test_any_shape_and_layout() -> None:
    x = RNG.uniform(-2, 2, (300, 200))[::2, ::-1]
    np.testing.assert_allclose(special.erf(x), scipy_special.erf(x), rtol=1e-14)
    assert special.erf(np.float32(0.5)).shape == ()
    assert special.lgamma(np.zeros((0, 3))).shape == (0, 3)


def test_digamma_and_trigamma() -> None:
    x = np.concatenate([RNG.uniform(0.01, 30, 2000), -RNG.uniform(0, 9, 2000)])
    x = x[np.abs(x - np.rint(x)) > 1e-3]
    found, wanted = tg.digamma(tg.Tensor(x)).numpy(), scipy_special.digamma(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)
    positive = x[x > 0]
    np.testing.assert_allclose(
        tg.polygamma(1, tg.Tensor(positive)).numpy(), scipy_special.polygamma(1, positive), rtol=1e-13
    )
    edges = tg.digamma(tg.tensor([0.0, -0.0, -2.0, float("inf")], dtype=tg.float64))
    np.testing.assert_array_equal(edges.numpy(), [-np.inf, np.inf, np.nan, np.inf])
    with pytest.raises(ValueError, match="n must be 0 or 1, got 2"):
        tg.polygamma(2, tg.tensor(1.0))
