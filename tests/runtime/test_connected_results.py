"""Results of one compiled graph that were computed from each other: their gradients are those of eager execution."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.autograd import grad
from tracegraph.errors import AutogradError
from tracegraph.nn import functional as F

Function = Callable[..., Any]


@pytest.fixture(params=["interpreter", "llvm"])
def compiled(request: pytest.FixtureRequest) -> Function:
    def compile(function: Function, **options: Any) -> Function:
        return tg.compile(function, backend=request.param, options={"strict": True}, **options)

    return compile


def leaf(*shape: int, seed: int = 0) -> tg.Tensor:
    values = np.random.default_rng(seed).standard_normal(shape)
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def assert_same(found: Sequence[Any], wanted: Sequence[Any]) -> None:
    assert [f is None for f in found] == [w is None for w in wanted]
    for a, b in zip(found, wanted, strict=True):
        if a is not None:
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)


def summed(x: tg.Tensor) -> Any:
    h = x.exp()
    return h, h.sum()


def chained(x: tg.Tensor) -> Any:
    h = x.sin()
    k = h * x
    return h, k, (k.exp() * h).sum()


def loss_first(x: tg.Tensor) -> Any:
    h = x.clone()
    k = h.clone()
    return (k * h).sum(), h, k


def unrelated(x: tg.Tensor) -> Any:
    return x.exp(), x.cos().sum()


def partly(x: tg.Tensor) -> Any:
    h, k = x.exp(), x.cos()
    return h, k, (h.detach() * k).sum()


def two_results(x: tg.Tensor) -> Any:
    h, index = x.max(1)
    return h, index, (h * h).sum()


def with_random_numbers(x: tg.Tensor) -> Any:
    h = F.dropout(x.exp(), 0.5)
    return h, F.dropout(h * h, 0.5).sum()


def written(x: tg.Tensor) -> Any:
    h = x.sin()
    k = h * 2
    h.mul_(x)
    return h, k, (h * k).sum()


def written_in_part(x: tg.Tensor) -> Any:
    h = x.sin()
    h[0] = x[1] * 2
    return h, (h * h).sum()


def with_a_view(x: tg.Tensor) -> Any:
    h = x.exp()
    return h, h[0], (h * h).sum()


def without_gradient_below(x: tg.Tensor) -> Any:
    h = x.round()
    return h, (h * x.detach().exp()).sum()


def normalised(x: tg.Tensor) -> Any:
    h = F.layer_norm(x, (3,))
    return h, F.log_softmax(h, -1).prod(-1).sum()


PROGRAMS = [
    summed,
    chained,
    loss_first,
    unrelated,
    partly,
    two_results,
    with_random_numbers,
    written,
    written_in_part,
    with_a_view,
    without_gradient_below,
    normalised,
]


def run(function: Function, use: Callable[..., Sequence[Any]]) -> Sequence[Any]:
    tg.manual_seed(3)
    x = leaf(2, 3)
    floating = [r for r in function(x) if r.dtype.is_floating]
    (loss,) = (r for r in floating if r.ndim == 0)
    return use(x, loss, [r for r in floating if r is not loss])


def gradients(x: tg.Tensor, loss: tg.Tensor, results: list[tg.Tensor]) -> Sequence[Any]:
    return grad(loss, [*results, x], allow_unused=True)


def gradients_from_outside(x: tg.Tensor, loss: tg.Tensor, results: list[tg.Tensor]) -> Sequence[Any]:
    total = loss * 3 + sum((r * r).sum() for r in results)
    return grad(total, [*results, loss, x], allow_unused=True)


def retained(x: tg.Tensor, loss: tg.Tensor, results: list[tg.Tensor]) -> Sequence[Any]:
    for r in results:
        r.retain_grad()
    loss.backward(retain_graph=True)
    (loss + results[0].sum()).backward()
    return [r.grad for r in results] + [x.grad]


def hooked(x: tg.Tensor, loss: tg.Tensor, results: list[tg.Tensor]) -> Sequence[Any]:
    seen: list[tg.Tensor] = []
    for n, r in enumerate((*results, loss)):
        r.register_hook(lambda g, n=n: seen.append(g * n))
        r.register_hook(lambda g, n=n: g * (n + 2))
        r.retain_grad()
    loss.backward()
    return [*seen, *(r.grad for r in results), x.grad]


def removed_hooks(x: tg.Tensor, loss: tg.Tensor, results: list[tg.Tensor]) -> Sequence[Any]:
    for r in results:
        r.register_hook(lambda g: g * 5).remove()
    loss.backward()
    return [x.grad]


def second_order(x: tg.Tensor, loss: tg.Tensor, results: list[tg.Tensor]) -> Sequence[Any]:
    first = grad(loss * loss + results[0].sum(), [*results, x], create_graph=True, allow_unused=True)
    total = sum((g * g).sum() for g in first if g is not None)
    seen: list[tg.Tensor] = []
    results[0].register_hook(lambda g: seen.append(g.detach()))
    second = grad(total + results[0].exp().sum(), [*results, x], allow_unused=True)
    return [*first, *second, *seen]


USES = [gradients, gradients_from_outside, retained, hooked, removed_hooks, second_order]


@pytest.mark.parametrize("use", USES, ids=lambda u: u.__name__)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_gradients_of_results(compiled: Function, program: Function, use: Function) -> None:
    assert_same(run(compiled(program, fullgraph=True), use), run(program, use))


@pytest.mark.parametrize("use", [gradients, hooked, second_order], ids=lambda u: u.__name__)
def test_sizes_that_vary(compiled: Function, use: Function) -> None:
    function = compiled(chained, fullgraph=True, dynamic=True)
    for rows in (2, 5):
        x, y = leaf(rows, 3), leaf(rows, 3)
        *results, loss = function(x)
        *eager, eager_loss = chained(y)
        assert_same(use(x, loss, results), use(y, eager_loss, eager))


def test_a_chain_of_graphs(compiled: Function) -> None:
    def first(x: tg.Tensor) -> Any:
        h = x.sin()
        return h, h * h

    def both(first: Function, second: Function) -> Sequence[Any]:
        x = leaf(2, 3)
        h, k = first(x)
        m, loss = second(h * k)
        h.register_hook(lambda g: g * 2)
        m.register_hook(lambda g: g + 1)
        return grad(loss, [x, h, k, m])

    assert_same(both(compiled(first), compiled(summed)), both(first, summed))


def test_a_graph_break_between_forward_and_gradient(compiled: Function) -> None:
    def step(x: tg.Tensor) -> Any:
        h = x.exp()
        loss = (h * h).sum()
        print(end="")
        (g,) = grad(loss, h, retain_graph=True)
        h.retain_grad()
        loss.backward()
        return g, h.grad

    x, y = leaf(4), leaf(4)
    assert_same((*compiled(step)(x), x.grad), (*step(y), y.grad))


def test_hooks_in_the_graph_come_first(compiled: Function) -> None:
    def f(x: tg.Tensor) -> Any:
        y = x * 2
        y.register_hook(lambda g: g * 3)
        return y, (y * y).sum()

    def use(function: Function) -> Sequence[Any]:
        x = leaf(3)
        y, z = function(x)
        y.register_hook(lambda g: g + 1)
        return grad(y.sum() + z, [x, y], retain_graph=True) + grad(y.sum(), [x, y])

    assert_same(use(compiled(f, fullgraph=True)), use(f))


def test_saved_values_are_freed_once(compiled: Function) -> None:
    h, loss = compiled(summed)(leaf(3))
    grad(loss, h)
    with pytest.raises(AutogradError, match="a second time"):
        grad(loss, h)
    h, loss = compiled(summed)(leaf(3))
    assert_same(grad(loss, h, retain_graph=True), grad(loss, h))


def test_what_was_written_since_is_an_error(compiled: Function) -> None:
    for function in (chained, compiled(chained)):
        h, _, loss = function(leaf(3))
        with tg.no_grad():
            h.add_(1)
        with pytest.raises(AutogradError, match="modified by an in-place operation"):
            grad(loss, h)


def test_an_asked_result_keeps_no_memory_after_backward(compiled: Function) -> None:
    h, loss = compiled(summed)(leaf(3))
    h.retain_grad()
    loss.backward()
    node = weakref.ref(loss.grad_fn)
    del h, loss
    gc.collect()
    assert node() is None


def test_anomaly_detection_sees_it(compiled: Function) -> None:
    function = compiled(summed)
    h, loss = function(leaf(3))
    with tg.autograd.detect_anomaly():
        assert_same(grad(loss, h), [tg.ones(3)])
