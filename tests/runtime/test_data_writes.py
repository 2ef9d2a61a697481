"""Writes through `Tensor.data` and assignments to it: in backward, gradient formulas read what is there by then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.nn.utils import parameters_to_vector, vector_to_parameters

Program = Callable[[tg.Tensor, tg.Tensor, tg.Tensor], Any]


def written_after_its_use(x, w, v):
    y = (x * w).exp() * w
    w.data.mul_(3)
    return y


def written_through_a_view(x, w, v):
    y = w[1:] * w[:-1] * x[1:]
    w.data[1:].add_(v[1:])
    return y, w * x


def written_twice(x, w, v):
    y = w * x * w
    w.data.add_(1)
    z = w.sin() * y
    w.data.copy_(v)
    return y, z, w.cos()


def written_result(x, w, v):
    h = (w * x).exp()
    y = h * h
    h.data.clamp_(0.5, 1)
    return y, h


def written_argument_without_grad(x, w, v):
    y = w * x.sin()
    z = y * x
    x.data.zero_()
    return z


def written_and_noticed(x, w, v):
    h = w * 2
    y = h * h * x
    h.data.add_(1)
    h.add_(1)
    return y


def given_other_memory(x, w, v):
    y = w * x * w
    w.data = v * 2
    return y, w * x * w


def given_other_memory_for_a_while(x, w, v):
    before = w.data
    w.data = v
    y = (w * x).sin() * w
    w.data = before
    return y, w.exp()


def views_stay_in_the_former_memory(x, w, v):
    part = w[1:]
    y = part * part * w[:-1]
    w.data = v * 2
    return y, part * 3, w * w


def given_memory_is_written_to(x, w, v):
    memory = v * 2
    w.data = memory
    y = w * w * x
    memory.add_(1)
    return y, w * 1


def swapped(x, w, v):
    x.data, v.data = v.data, x.data
    return (x * w - v).exp(), x + 0, v + 0


def given_without_grad_mode(x, w, v):
    with tg.no_grad():
        w.data = w.data - 0.1 * v
        constant = w * 2
    return (w * w * x) + constant


def given_to_a_constant(x, w, v):
    constant = x * 2
    y = constant * w * w
    constant.data = v * 3
    return y, constant


def differentiated_after_writes(x, w, v):
    y = (w * x * w).sum()
    w.data.mul_(2)
    (g,) = tg.autograd.grad(y, w, create_graph=True)
    w.data = w.data * 0.5 + v
    (h,) = tg.autograd.grad((w * w * x).sum(), w)
    return g, h


def steps(x, w, v):
    for _ in range(3):
        (w * w * x).sum().backward()
        w.data = w.data - 0.1 * w.grad
        w.grad = None
    return w * v


PROGRAMS: list[Program] = [
    written_after_its_use, written_through_a_view, written_twice, written_result, written_argument_without_grad,
    written_and_noticed, given_other_memory, given_other_memory_for_a_while, views_stay_in_the_former_memory,
    given_memory_is_written_to, swapped, given_without_grad_mode, given_to_a_constant, differentiated_after_writes,
    steps,
]  # fmt: skip


def once(results: list[tg.Tensor], leaves: list[tg.Tensor]) -> Any:
    weights = [tg.linspace(1, 2, r.numel()).reshape(r.shape) for r in results]
    tg.autograd.backward(results, weights)
    return [t.grad for t in leaves]


def twice(results: list[tg.Tensor], leaves: list[tg.Tensor]) -> Any:
    """A gradient penalty: the formulas' own formulas read what is there too."""
    total = sum((r * r).sum() for r in results)
    first = tg.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
    penalty = sum((g * g).sum() for g in first if g is not None)
    return [*first, *tg.autograd.grad(penalty, leaves, allow_unused=True)]


def written_between(results: list[tg.Tensor], leaves: list[tg.Tensor]) -> Any:
    with tg.no_grad():
        leaves[0].add_(1)
    return once(results, leaves)


def observed(function: Program, differentiate: Callable[..., Any], *, tracked: bool) -> list[Any]:
    """The results, the arguments, and gradients or the error that there is instead."""
    w = tg.tensor([0.5, -1.0, 2.0, 0.25], requires_grad=True)
    x = tg.tensor([1.0, 2.0, -0.5, 0.75], requires_grad=tracked)
    v = tg.tensor([0.1, 0.2, 0.3, 0.4])
    found = function(x, w, v)
    results = [*found] if isinstance(found, tuple) else [found]
    seen = [*results, x, w, v]
    data = [(t.requires_grad, t.is_leaf, t.detach().clone().numpy()) for t in seen]
    leaves = [t for t in (w, x) if t.requires_grad]
    try:
        gradients = differentiate([r for r in results if r.requires_grad], leaves)
    except tg.TracegraphError as error:
        return [*data, type(error)]
    return [*data, *(None if g is None else g.detach().numpy() for g in gradients)]


def assert_same(a: Any, b: Any) -> None:
    for one, other in zip(a, b, strict=True):
        if isinstance(other, tuple):
            assert one[:2] == other[:2]
            one, other = one[2], other[2]
        if isinstance(other, np.ndarray):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        else:
            assert one is other


@pytest.mark.parametrize("backend", ["llvm", "interpreter", "eager"])
@pytest.mark.parametrize("differentiate", [once, twice, written_between], ids=lambda f: f.__name__)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_gradients_are_those_of_eager(program: Program, differentiate: Callable[..., Any], backend: str) -> None:
    for tracked in (False, True):
        if tracked and program in (written_argument_without_grad, swapped, given_to_a_constant):
            continue
        compiled = tg.compile(program, fullgraph=True, backend=backend)
        expected = observed(program, differentiate, tracked=tracked)
        for _ in range(2):
            assert_same(observed(compiled, differentiate, tracked=tracked), expected)


@pytest.mark.parametrize("backend", ["llvm", "interpreter", "eager"])
def test_parameters_as_a_vector_and_back_are_one_graph(backend: str) -> None:
    """Each step looks at the loss on both sides of the parameters, and leaves these where it was lower."""

    def model() -> nn.Module:
        tg.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def step(net: nn.Module, x: tg.Tensor) -> tg.Tensor:
        center = parameters_to_vector(net.parameters()).detach()
        vector_to_parameters(center + 0.1, net.parameters())
        up = net(x).square().mean()
        vector_to_parameters(center - 0.1, net.parameters())
        down = net(x).square().mean()
        vector_to_parameters(tg.where(up < down, center + 0.1, center - 0.1), net.parameters())
        return up - down

    def run(function: Callable[..., Any]) -> list[np.ndarray]:
        net, x = model(), tg.linspace(-1, 1, 6).reshape(2, 3)
        for _ in range(2):
            loss = function(net, x)
        loss.backward()
        tensors = [loss, *net.parameters(), *(p.grad for p in net.parameters())]
        return [t.detach().numpy() for t in tensors]

    for found, wanted in zip(run(tg.compile(step, fullgraph=True, backend=backend)), run(step), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
