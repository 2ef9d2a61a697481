"""Gamma, Poisson and binomial numbers: known statistics, keys, and the slope of gamma quantiles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

import tracegraph as tg
from tracegraph.errors import AutogradError, DTypeError, ElementError, ValueRangeError
from tracegraph.ops import functional as F


def test_slope_is_that_of_the_quantile() -> None:
    rng = np.random.default_rng(0)
    a, u = 10 ** rng.uniform(-1, 4.5, 400), rng.uniform(0.001, 0.999, 400)
    step = a * 1e-5
    wanted = (special.gammaincinv(a + step, u) - special.gammaincinv(a - step, u)) / (2 * step)
    found = F.standard_gamma_slope(tg.tensor(a), tg.tensor(special.gammaincinv(a, u)))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-6)


def test_slope_at_the_edges() -> None:
    a, x = tg.tensor([1.0, 0.0, -1.0, 2.0, float("inf")]), tg.tensor([0.0, 1.0, 1.0, float("nan"), 1.0])
    np.testing.assert_array_equal(F.standard_gamma_slope(a, x).numpy(), [0.0, *[np.nan] * 4])


def test_keys_say_everything() -> None:
    key, rate = F.fixed_key(3, 5), tg.full((50,), 30.0)
    assert F.philox_poisson(key, rate).tolist() == F.philox_poisson(key, rate).tolist()
    assert F.philox_poisson(key, rate).tolist() != F.philox_poisson(F.fixed_key(3, 6), rate).tolist()
    eager = tg.manual_seed(0) and tg.poisson(rate)
    assert (tg.manual_seed(0) and tg.compile(tg.poisson)(rate)).tolist() == eager.tolist()
    with_generator = tg.poisson(rate, generator=tg.Generator().manual_seed(0))
    assert with_generator.tolist() == eager.tolist()


def test_counts() -> None:
    tg.manual_seed(1)
    counts = tg.poisson(tg.full((20_000,), 4.0))
    assert counts.mean().item() == pytest.approx(4, abs=0.1) and counts.var().item() == pytest.approx(4, abs=0.2)
    assert tg.poisson(tg.tensor([0.0, 1e30])).tolist() == pytest.approx([0.0, 1e30])
    heads = tg.binomial(tg.full((20_000,), 10.0), tg.tensor(0.3))
    assert heads.mean().item() == pytest.approx(3, abs=0.1) and heads.var().item() == pytest.approx(2.1, abs=0.15)


def test_errors() -> None:
    for rate in (-1.0, float("nan")):
        with pytest.raises(ElementError, match="at least 0"):
            tg.poisson(tg.tensor([rate]))
    with pytest.raises(ElementError, match="probability"):
        tg.binomial(tg.ones(1), tg.tensor([1.5]))
    with pytest.raises(DTypeError, match="floating"):
        tg.poisson(tg.tensor([1]))
    a = tg.tensor([2.0], requires_grad=True)
    (first,) = tg.autograd.grad(F.philox_gamma(F.fixed_key(1, 1), a).sum(), a, create_graph=True)
    with pytest.raises(AutogradError, match="once only"):
        first.sum().backward()


def test_fills() -> None:
    tg.manual_seed(0)
    x = tg.empty(20_000)
    assert np.median(x.log_normal_(0.5, 1.0).numpy()) == pytest.approx(np.exp(0.5), abs=0.1)
    assert np.quantile(x.cauchy_(1.0, 2.0).numpy(), 0.75) == pytest.approx(3.0, abs=0.2)
    assert x.geometric_(0.25).mean().item() == pytest.approx(4.0, abs=0.2) and x.min().item() == 1
    for fill in (lambda: x.cauchy_(0.0, 0.0), lambda: x.geometric_(1.0)):
        with pytest.raises(ValueRangeError):
            fill()
