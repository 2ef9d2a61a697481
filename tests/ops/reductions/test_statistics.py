"""Corrections, overflow and gradients at 0 of variance, norms and log-sum-exp."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.errors import DTypeError, ValueRangeError


def test_correction() -> None:
    x = tg.tensor([[1.0, 2.0, 4.0, 9.0]])
    a = x.numpy()
    assert x.var().item() == pytest.approx(a.var(ddof=1))
    assert x.var(unbiased=False).item() == pytest.approx(a.var())
    assert x.var(1, False).tolist() == [pytest.approx(a.var())]
    assert x.std(dim=1, correction=2, keepdim=True).tolist() == [[pytest.approx(a.std(ddof=2))]]
    assert math.isnan(tg.tensor([3.0]).var().item())
    assert tg.var_mean(x, correction=0).mean.item() == 4.0
    with pytest.raises(DTypeError, match="var: only defined for floating dtypes, got int64"):
        tg.tensor([1, 2]).var()


def test_variance_does_not_cancel() -> None:
    x = tg.tensor([1e6, 1e6 + 1, 1e6 + 2])  # the squares need 40 bits
    assert x.var().item() == 1
    halves = tg.tensor([-300.0, 300.0], dtype=tg.float16)
    assert halves.std(correction=0).item() == 300  # the variance is beyond float16


def test_logsumexp_of_extremes() -> None:
    inf = math.inf
    x = tg.tensor([[1e4, 1e4], [-inf, -inf], [inf, 1.0], [-1e4, -1e4]])
    wanted = [1e4 + math.log(2), -inf, inf, -1e4 + math.log(2)]
    np.testing.assert_allclose(x.logsumexp(1).numpy(), wanted, rtol=1e-6)
    assert tg.logcumsumexp(tg.tensor([0.0, 1000.0]), 0).tolist() == [0.0, 1000.0]


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
def test_the_gradient_of_a_norm_at_zero_is_zero(p: float) -> None:
    x = tg.tensor([0.0, 0.0], requires_grad=True)
    x.norm(p).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0]


def test_norm_orders() -> None:
    x = tg.tensor([3.0, -4.0, 0.0])
    assert [x.norm(p).item() for p in ("fro", 2, 1, math.inf, -math.inf, 0)] == [5, 5, 7, 4, 0, 2]
    with pytest.raises(ValueRangeError, match="'nuc'"):
        x.norm("nuc")
    with pytest.raises(DTypeError, match="expected a floating tensor, got int64"):
        tg.tensor([1]).norm()
