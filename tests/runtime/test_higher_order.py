"""Derivatives of derivatives through compiled graphs: of any order, they are those of eager execution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.autograd import grad
from tracegraph.nn import functional as F


@pytest.fixture(params=["interpreter", "llvm"])
def compiled(request: pytest.FixtureRequest) -> Callable[..., Any]:
    def compile(function: Any, **options: Any) -> Any:
        return tg.compile(function, backend=request.param, fullgraph=True, options={"strict": True}, **options)

    return compile


def leaf(*shape: int, seed: int = 0) -> tg.Tensor:
    values = np.random.default_rng(seed).standard_normal(shape)
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def same(found: Any, wanted: Any) -> None:
    found, wanted = list(found), list(wanted)
    assert [f is None for f in found] == [w is None for w in wanted]
    for a, b in zip(found, wanted, strict=True):
        if a is not None:
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)


def derivatives(function: Callable[..., tg.Tensor], inputs: list[tg.Tensor], order: int) -> list[Any]:
    """Gradients of order 1, 2, ... of the function, each of the sum of squares of those before: mixed partials too."""
    found: list[Any] = []
    value = function(*inputs)
    for n in range(order):
        gradients = grad(value, inputs, create_graph=n + 1 < order, allow_unused=True)
        found += gradients
        value = sum(
            ((g * g * g.detach().cos()).sum() for g in gradients if g is not None), tg.zeros((), dtype=tg.float64)
        )
    return found


def shared(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
    h = (x @ y.transpose(0, 1)).tanh()
    return (h * x.exp().sum()).sin().sum()


def normalised(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
    return (F.layer_norm(x * y, (3,)).exp() + F.log_softmax(y, -1)).prod(-1).sum()


def detached(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
    return (x.exp() * x.exp().detach() * y).sum() + (x.detach() * y * y).sum()


def outside_grad_mode(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
    with tg.no_grad():
        scale = (x * y).sum()
    return (x * x * y * scale).sum()


def written(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
    z = x * y
    z.mul_(y)
    z[0] = y[1] * 2
    z[:, 1:].exp_()
    return (z * z).sum()


def non_smooth(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
    return (F.relu(x * y) ** 2 * x.abs()).sum() + tg.maximum(x, y).pow(3).sum() + x.max(1).values.exp().sum()


def no_gradient_of_weights(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
    weights = (y[0] * y[0]).sin().exp()
    return F.cross_entropy(x * x, tg.tensor([0, 2]), weights)


FUNCTIONS = [shared, normalised, detached, outside_grad_mode, written, non_smooth, no_gradient_of_weights]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_derivatives_of_several_orders(function: Callable[..., tg.Tensor], compiled: Callable[..., Any]) -> None:
    fast = compiled(function)
    for dims in ((2, 3), (2, 3)):
        inputs = [leaf(*dims), leaf(*dims, seed=1)]
        same(derivatives(fast, inputs, 3), derivatives(function, inputs, 3))
