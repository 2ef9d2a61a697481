"""Running sums and products: dtypes, zeros, ties."""

from __future__ import annotations

import numpy as np
import pytest

import tracegraph as tg


def test_dtypes() -> None:
    small = tg.tensor([100, 100], dtype=tg.uint8)
    assert small.cumsum(0).tolist() == [100, 200]
    assert small.cumsum(0).dtype is tg.int64
    assert small.cumsum(0, dtype=tg.float16).dtype is tg.float16
    assert tg.tensor([True, True]).cumsum(0).tolist() == [1, 2]
    ones = tg.Tensor(np.ones(3000, np.float16))
    assert ones.cumsum(0)[-1].item() == 3000


@pytest.mark.parametrize("values", [[2.0, 3.0, 4.0], [2.0, 0.0, 4.0, 5.0], [0.0, 2.0, 0.0, 3.0], [0.0, 0.0]])
def test_gradients_of_products_with_zeros(values: list[float]) -> None:
    x = tg.tensor(values, dtype=tg.float64, requires_grad=True)
    assert tg.autograd.gradcheck(lambda t: t.cumprod(0), (x,))
    for products in (lambda t: t.cumprod(0), lambda t: t.prod(0)):
        slope = tg.func.grad(lambda t, f=products: f(t).sin().sum())
        assert tg.autograd.gradcheck(slope, (x,))


def test_second_derivatives_of_logcumsumexp() -> None:
    x = tg.tensor([0.0, 0.25, 0.0, 3.0], dtype=tg.float64)
    weights = tg.tensor([1.0, -2.0, 0.0, 0.5], dtype=tg.float64)
    running = lambda t: (t.logcumsumexp(0) * weights).sum()  # noqa: E731
    same = lambda t: (t.exp().cumsum(0).log() * weights).sum()  # noqa: E731
    found, wanted = tg.func.hessian(running)(x), tg.func.hessian(same)(x)
    assert tg.allclose(found, wanted)
    assert tg.func.grad(lambda t: (t.logcumsumexp(0) * float("nan")).sum())(x).isnan().all()


def test_the_latest_of_equal_extremes() -> None:
    x = tg.tensor([1, 3, 3, 2])
    assert x.cummax(0).values.tolist() == [1, 3, 3, 3]
    assert x.cummax(0).indices.tolist() == [0, 1, 2, 2]
    assert tg.tensor([2.0, float("nan"), 1.0]).cummin(0).indices.tolist() == [0, 1, 1]


def test_gradient_of_a_running_maximum() -> None:
    x = tg.tensor([1.0, 3.0, 2.0], requires_grad=True)
    x.cummax(0).values.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 2.0, 0.0]
