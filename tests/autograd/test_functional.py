"""Jacobians, Hessians and products with them: against each other, known answers, and compiled functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp


def double(*values: float) -> tg.Tensor:
    return tg.tensor(values, dtype=tg.float64)


X, Y = double(1.0, 2.0, -0.5), double(0.5, 3.0)


def pair(x: tg.Tensor, y: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
    return (x * x).sum() * y, x.sin()


def energy(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
    return (x.exp() * y.sum()).sum() + (y * y * y).sum()


@pytest.fixture(params=[False, True], ids=["eager", "compiled"])
def maybe_compiled(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return (lambda f: tg.compile(f, fullgraph=True, options={"strict": True})) if request.param else (lambda f: f)


def assert_close(a: Any, b: Any) -> None:
    if isinstance(b, tuple):
        assert isinstance(a, tuple) and len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_close(one, other)
    else:
        np.testing.assert_allclose(a.detach().numpy(), np.asarray(b), rtol=1e-12, atol=1e-14)


def test_jacobian(maybe_compiled: Callable[..., Any]) -> None:
    (by_x, by_y), (sin_by_x, sin_by_y) = jacobian(maybe_compiled(pair), (X, Y))
    assert_close(by_x, np.outer(Y.numpy(), 2 * X.numpy()))
    assert_close(by_y, np.eye(2) * (X.numpy() ** 2).sum())
    assert_close(sin_by_x, np.diag(np.cos(X.numpy())))
    assert_close(sin_by_y, np.zeros((3, 2)))
    assert_close(jacobian(lambda x: x.reshape(1, 3) * 2, X), 2 * np.eye(3).reshape(1, 3, 3))


def test_products_are_those_with_the_jacobian(maybe_compiled: Callable[..., Any]) -> None:
    f = maybe_compiled(pair)
    v, w = (double(1.0, -1.0), double(2.0, 0.5, 1.0)), (double(0.3, 0.2, 0.1), double(-1.0, 2.0))
    blocks = jacobian(f, (X, Y))
    outputs, products = vjp(f, (X, Y), v)
    assert_close(outputs, tuple(o.numpy() for o in pair(X, Y)))
    assert_close(products, tuple(sum(v[i].numpy() @ blocks[i][j].numpy() for i in range(2)) for j in range(2)))
    _, products = jvp(f, (X, Y), w)
    assert_close(products, tuple(sum(blocks[i][j].numpy() @ w[j].numpy() for j in range(2)) for i in range(2)))


def test_hessian_and_products(maybe_compiled: Callable[..., Any]) -> None:
    f, v = maybe_compiled(energy), (double(1.0, 2.0, 3.0), double(-1.0, 1.0))
    blocks = hessian(f, (X, Y))
    e = np.exp(X.numpy())
    assert_close(blocks, ((np.diag(e * 3.5), np.outer(e, [1, 1])), (np.outer([1, 1], e), np.diag(6 * Y.numpy()))))
    wanted = tuple(sum(blocks[i][j].numpy() @ v[j].numpy() for j in range(2)) for i in range(2))
    for product in (hvp, vhp):
        value, found = product(f, (X, Y), v)
        assert value.item() == pytest.approx(energy(X, Y).item())
        assert_close(found, wanted)
    assert_close(hessian(lambda x: (x**3).sum(), X), np.diag(6 * X.numpy()))


def test_results_may_be_differentiated_again() -> None:
    x = double(0.5, 1.5).requires_grad_()
    (third,) = tg.autograd.grad(hessian(lambda x: (x**4).sum(), x, create_graph=True).sum(), x)
    assert third.tolist() == pytest.approx([12.0, 36.0])
    assert not jacobian(lambda x: x * 2, x).requires_grad
    assert x.grad is None


def test_errors() -> None:
    with pytest.raises(RuntimeError, match="inputs must be a floating tensor"):
        jacobian(lambda x: x, tg.tensor([1]))
    with pytest.raises(RuntimeError, match=r"v has shapes \[\[2\]\], it takes \[\[3\]\]"):
        vjp(lambda x: x * 2, X, Y)
    with pytest.raises(RuntimeError, match="may only be left out"):
        vjp(lambda x: x * 2, X)
    with pytest.raises(RuntimeError, match="a single element"):
        hessian(lambda x: x * 2, X)
    with pytest.raises(RuntimeError, match="do not depend on input 1"):
        jacobian(lambda x, y: x * 2, (X, Y), strict=True)
