"""Derivatives of derivatives through compiled graphs: of any order, they are those of eager execution."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn
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


def assert_close(found: Any, wanted: Any) -> None:
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
        assert_close(derivatives(fast, inputs, 3), derivatives(function, inputs, 3))


class Network(nn.Module):
    """Parameters, buffers that the forward pass writes to, and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.4)
        self.last = nn.Linear(8, 1)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.last(self.drop(F.gelu(self.norm(self.first(x)))))


def penalised_step(network: Any, model: nn.Module, x: tg.Tensor) -> list[tg.Tensor | None]:
    """WGAN-GP: the norm of the gradient of the inputs is part of the loss."""
    tg.manual_seed(3)
    value = network(x)
    (slope,) = grad(value.sum(), x, create_graph=True)
    penalty = ((slope.pow(2).sum(1).sqrt() - 1) ** 2).mean()
    (value.mean() + 10 * penalty).backward()
    return [*(p.grad for p in model.parameters()), x.grad, model.norm.running_mean, slope]


def test_gradient_penalty_of_a_module(compiled: Callable[..., Any]) -> None:
    results = []
    for wrap in (lambda m: m, compiled):
        tg.manual_seed(0)
        model = Network().double()
        results.append(penalised_step(wrap(model), model, leaf(5, 3)))
    assert_close(*results)


def test_second_derivatives_in_space_and_time(compiled: Callable[..., Any]) -> None:
    """The residual of a differential equation, as physics-informed networks are trained on it."""

    def train(wrap: Callable[..., Any]) -> list[Any]:
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1)).double()
        solution = wrap(lambda x, t: model(tg.cat([x, t], 1)))
        losses = []
        optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(3):
            x, t = leaf(6, 1), leaf(6, 1, seed=1)
            u = solution(x, t)
            u_x, u_t = grad(u.sum(), [x, t], create_graph=True)
            (u_xx,) = grad(u_x.sum(), x, create_graph=True)
            loss = ((u_t + u * u_x - 0.1 * u_xx) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss)
        return [*losses, *model.parameters()]

    assert_close(train(compiled), train(lambda f: f))


def test_hessian_vector_products_are_finite_differences_of_gradients(compiled: Callable[..., Any]) -> None:
    fast = compiled(shared)
    x, y, v = leaf(2, 3), leaf(2, 3, seed=1), leaf(2, 3, seed=2).detach()
    (first,) = grad(fast(x, y), x, create_graph=True)
    products = grad(first, [x, y], v)
    step = 1e-6
    ends = [(x + s * v).detach().requires_grad_() for s in (step, -step)]
    above, below = (grad(fast(end, y), [end, y]) for end in ends)
    for product, a, b in zip(products, above, below, strict=True):
        np.testing.assert_allclose(product.numpy(), ((a - b) / (2 * step)).numpy(), rtol=1e-6, atol=1e-8)


def test_symbolic_sizes(compiled: Callable[..., Any]) -> None:
    def function(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        return F.softmax(x @ y, -1).pow(2).sum(0).expand(x.shape[0], -1).exp().mean()

    fast = compiled(function, dynamic=True)
    for rows, columns in ((2, 3), (5, 4), (5, 4), (7, 2)):
        inputs = [leaf(rows, 3), leaf(3, columns, seed=1)]
        assert_close(derivatives(fast, inputs, 3), derivatives(function, inputs, 3))


def test_inputs_with_a_history_and_several_calls(compiled: Callable[..., Any]) -> None:
    fast = compiled(shared)

    def chained(f: Callable[..., tg.Tensor]) -> Callable[..., tg.Tensor]:
        return lambda x, y: f(f(x * y, y).exp() * y, x.sin())

    inputs = [leaf(2, 3), leaf(2, 3, seed=1)]
    assert_close(derivatives(chained(fast), inputs, 3), derivatives(chained(shared), inputs, 3))


def test_some_of_several_outputs(compiled: Callable[..., Any]) -> None:
    def function(x: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        return x.exp() * x, x.sqrt()  # the slope of the square root at 0 is infinite

    for f in (function, compiled(function)):
        x = tg.zeros(2, dtype=tg.float64, requires_grad=True)
        (first,) = grad(f(x)[0].sum(), x, create_graph=True)
        (second,) = grad(first.sum(), x)
        assert (first.tolist(), second.tolist()) == ([1, 1], [2, 2])


def test_the_hessian_by_rows_and_what_is_freed(compiled: Callable[..., Any]) -> None:
    fast = compiled(lambda x: (x.sin() * x.sum()).exp().sum())
    x = leaf(3)
    (first,) = grad(fast(x), x, create_graph=True)
    rows = [grad(first[i], x, retain_graph=True)[0].tolist() for i in range(3)]
    np.testing.assert_allclose(rows, np.transpose(rows))
    first[0].backward()
    assert x.grad.tolist() == rows[0]
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        first[0].backward()


def test_writes_are_noticed_by_higher_derivatives(compiled: Callable[..., Any]) -> None:
    for f in (shared, compiled(shared)):
        x, y = leaf(2, 3), leaf(2, 3, seed=1)
        (first,) = grad(f(x, y), x, create_graph=True)
        with tg.no_grad():
            y.add_(1)
        with pytest.raises(RuntimeError, match="modified by an in-place operation"):
            grad(first.sum(), y)


def test_first_derivatives_keep_nothing_for_higher_ones() -> None:
    fast = tg.compile(lambda x: (x.sum(1) * 2).exp().sum(), fullgraph=True, options={"strict": True})
    x = leaf(4, 3)
    activation = x * 2
    loss = fast(activation)
    alive = weakref.ref(activation._np)
    del activation
    gc.collect()
    assert alive() is None
    (first,) = grad(loss, x, create_graph=True)
    (second,) = grad(first.sum(), x)
    wanted = 3 * 4 * 4 * np.exp(4 * x.detach().numpy().sum(1, keepdims=True))
    np.testing.assert_allclose(second.numpy(), wanted.repeat(3, 1))
