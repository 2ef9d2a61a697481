"""Leaves that compiled code makes and results depend on: true leaves, with the gradients that eager code gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.nn import functional as F


def parameter_of_an_argument(net, x):
    w = nn.Parameter(x)
    return (w * w).sum() + net(w).sum(), w


def parameter_of_a_result(net, x):
    w = nn.Parameter(x * 2)
    return (w * w * x).sum(), w


def parameter_of_a_module(net, x):
    net[0].weight = nn.Parameter(net[0].weight.detach() * 2)
    return net(x).square().sum(), net[0].weight, net[0].bias


def several(net, x):
    leaves = [tg.full((3,), float(i), requires_grad=True) for i in range(3)]
    loss = sum((leaf * x).exp().sum() for leaf in leaves[:2])
    return loss, *leaves


def forces(net, x):
    position = x.clone().requires_grad_()
    energy = net(position).sum()
    (gradient,) = tg.autograd.grad(energy, position, create_graph=True)
    return energy + gradient.square().sum(), position, gradient


def written_before_its_use(net, x):
    w = nn.Parameter(tg.zeros(2, 3))
    with tg.no_grad():
        w.add_(x)
        w[0].mul_(2)
    return (w * w).sum(), w


def descent(net, x):
    w = x.clone().requires_grad_()
    for _ in range(2):
        (w * w * x).sum().backward()
        with tg.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
    return (w**3).sum(), w


def with_a_gradient(net, x):
    w = nn.Parameter(x * 1)
    (w * 2).sum().backward()
    return (w * w).sum(), w, w.grad.clone()


def given_other_memory(net, x):
    w = nn.Parameter(x * 1)
    y = w * w
    w.data = x * 3
    return y.sum() + w.exp().sum(), w


def adapted(net, x):
    """One step of an inner loop from the parameters of the model."""
    fast = [p.detach().clone().requires_grad_() for p in net[0].parameters()]
    loss = F.linear(x, *fast).square().mean()
    gradients = tg.autograd.grad(loss, fast, create_graph=True)
    stepped = [p - 0.1 * g for p, g in zip(fast, gradients, strict=True)]
    return F.linear(x, *stepped).square().mean(), *fast


def with_hooks(net, x):
    w = x.clone().requires_grad_()
    w.register_hook(lambda g: g * 3)
    v = nn.Parameter(tg.zeros(2, 3))
    v.register_hook(lambda g: g * 5).remove()
    v.register_post_accumulate_grad_hook(lambda p: p.grad.mul_(2))
    return (net(w).square() * v.exp().sum()).sum(), w, v


PROGRAMS = [
    parameter_of_an_argument, parameter_of_a_result, parameter_of_a_module, several, forces, written_before_its_use,
    descent, with_a_gradient, given_other_memory, adapted, with_hooks,
]  # fmt: skip


def backward(loss: tg.Tensor, leaves: list[tg.Tensor]) -> list[Any]:
    loss.backward()
    return [t.grad for t in leaves]


def twice(loss: tg.Tensor, leaves: list[tg.Tensor]) -> list[Any]:
    wanted = [t for t in leaves if t.requires_grad and t.is_leaf]
    first = tg.autograd.grad(loss, wanted, create_graph=True, allow_unused=True)
    penalty = sum((g * g).sum() for g in first if g is not None)
    return [*first, *(tg.autograd.grad(penalty, wanted, allow_unused=True) if penalty.requires_grad else ())]


def stepped(loss: tg.Tensor, leaves: list[tg.Tensor]) -> list[Any]:
    """An optimiser that knows the leaf changes it, and nobody else."""
    optimizer = tg.optim.SGD([t for t in leaves if t.is_leaf], lr=0.5)
    loss.backward()
    optimizer.step()
    return leaves


def written_between(loss: tg.Tensor, leaves: list[tg.Tensor]) -> list[Any]:
    with tg.no_grad():
        leaves[0].mul_(2)
    return backward(loss, leaves)


def observed(function: Callable[..., Any], differentiate: Callable[..., Any]) -> list[Any]:
    tg.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    x = tg.linspace(-1, 1, 6).reshape(2, 3)
    loss, *leaves = function(net, x)
    seen: list[Any] = [(type(t), t.requires_grad, t.is_leaf) for t in (loss, *leaves, *net.parameters())]
    seen += [t.detach().numpy().copy() for t in (loss, *leaves, x)]
    seen.append([t is p for t in leaves for p in net.parameters()])
    seen.append(tg.equal(leaves[0], x) and leaves[0].data_ptr() == x.data_ptr())
    try:
        found = differentiate(loss, leaves)
    except tg.TracegraphError as error:
        return [*seen, type(error)]
    return [*seen, *(None if g is None else g.detach().numpy() for g in (*found, *(p.grad for p in net.parameters())))]


@pytest.mark.parametrize("backend", ["llvm", "interpreter", "eager"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_leaves_are_those_of_eager(program: Callable[..., Any], backend: str) -> None:
    for differentiate in (backward, twice, stepped, written_between):
        compiled = tg.compile(program, fullgraph=True, backend=backend)
        wanted = observed(program, differentiate)
        for turn in range(2):
            found = observed(compiled, differentiate)
            assert len(found) == len(wanted)
            for one, other in zip(found, wanted, strict=True):
                if isinstance(other, np.ndarray):
                    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=f"{differentiate}, {turn}")
                else:
                    assert one == other, (differentiate, turn)


def test_every_call_makes_leaves_of_its_own() -> None:
    compiled = tg.compile(parameter_of_a_result, fullgraph=True)
    x = tg.ones(2, 3)
    (first, v), (second, w) = compiled(None, x), compiled(None, x)
    first.backward()
    assert v is not w and w.grad is None
    second.backward()
    assert tg.equal(v.grad, w.grad)
