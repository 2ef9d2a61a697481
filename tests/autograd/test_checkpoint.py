"""Checkpointed calls: the gradients of the plain call, with less kept."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.autograd import grad
from tracegraph.nn import functional as F

checkpoint = tg.utils.checkpoint.checkpoint


def block() -> nn.Module:
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 4), nn.Tanh())


def gradients(model: nn.Module, run: Any) -> list[list[float]]:
    tg.manual_seed(1)
    x = tg.randn(3, 4, requires_grad=True)
    (run(x * 2) * tg.rand(3, 4)).sum().backward()
    found = [x.grad, *(p.grad for p in model.parameters())]
    model.zero_grad()
    return [g.tolist() for g in found]


def test_gradients_reach_arguments_and_parameters_with_the_same_random_draws() -> None:
    model = block()
    plain = gradients(model, model)
    assert gradients(model, lambda x: checkpoint(model, x, use_reentrant=False)) == plain
    assert gradients(model, lambda x: tg.utils.checkpoint.checkpoint_sequential(model, 2, x)) == plain


def test_nothing_on_the_way_is_kept() -> None:
    seen: list[Any] = []

    def function(x: tg.Tensor) -> tg.Tensor:
        y = x.exp()
        seen.append(weakref.ref(y._np))
        return y * y

    x = tg.ones(3, requires_grad=True)
    result = checkpoint(function, x)
    gc.collect()
    assert seen[0]() is None
    result.sum().backward()
    assert len(seen) == 2
    assert x.grad.tolist() == pytest.approx([2 * 2.718281828**2] * 3)


def test_structures_keywords_and_what_needs_no_gradient() -> None:
    x, w = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([3.0, 4.0], requires_grad=True)

    def function(x: tg.Tensor, scale: float = 1.0) -> tuple[Any, ...]:
        y = x * w * scale
        return y, 7, y, x.detach() + 1

    y, seven, again, constant = checkpoint(function, x, scale=2.0)
    assert (seven, constant.requires_grad) == (7, False)
    assert y is again
    assert grad(y.sum(), [x, w])[1].tolist() == [2.0, 4.0]
    assert checkpoint(lambda: 3) == 3
    with tg.no_grad():
        assert not checkpoint(function, x)[0].requires_grad


def test_checkpoints_within_each_other_and_higher_derivatives() -> None:
    x = tg.tensor([0.5, 1.0], dtype=tg.float64, requires_grad=True)

    def nested(x: tg.Tensor) -> tg.Tensor:
        return checkpoint(lambda t: checkpoint(F.tanh, t * t) * t.exp(), x)

    def plain(x: tg.Tensor) -> tg.Tensor:
        return (x * x).tanh() * x.exp()

    found = []
    for f in (nested, plain):
        (first,) = grad(f(x).sum(), x, create_graph=True)
        (second,) = grad((first * first).sum(), x)
        found.append((first.tolist(), second.tolist()))
    assert found[0] == found[1]


def test_compiled_functions_inside_and_around() -> None:
    model = block()
    plain = gradients(model, model)
    compiled = tg.compile(model, options={"strict": True})
    for run in (lambda x: checkpoint(compiled, x), tg.compile(lambda x: checkpoint(model, x))):
        for a, b in zip(gradients(model, run), plain, strict=True):
            assert tg.allclose(tg.tensor(a), tg.tensor(b), atol=1e-6)


def test_errors() -> None:
    x, w = tg.ones(2, requires_grad=True), tg.ones(2)
    y = checkpoint(lambda a, b: a * b, x, w)
    w.add_(1)
    with pytest.raises(RuntimeError, match="an argument of a checkpointed function"):
        y.sum().backward()
    sizes = iter([2, 1])
    with pytest.raises(RuntimeError, match="must compute the same each time"):
        checkpoint(lambda a: a[: next(sizes)] * 2, x).sum().backward()
    y = checkpoint(lambda a: a * a, x)
    y.sum().backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.sum().backward()
    with pytest.raises(RuntimeError, match="takes a function"):
        checkpoint(x)
