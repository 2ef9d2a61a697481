"""The order in which hooks of leaves are called is that of the eager tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg
from tracegraph import nn

Tensors = dict[str, tg.Tensor]
#: computes results of leaves a, b, c, d and an intermediate tensor u from outside
Program = Callable[..., Any]


def chain(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    return ((a * b + c) * d).sum()


def shared(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    """`a` is used first and last, `b` twice in one operation, `d` not at all."""
    return (a * (b * b).sin() * c * a.exp()).sum()


def views(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    rows = d.view(2, 2)
    return (rows[0] * a[:2]).sum() + (b.view(2, 2).t() @ c[2:]).sum() + rows[1].sum()


def in_place(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    h = a * 2
    h.mul_(b)
    h[1:3] = c[1:3] * d[1:3]
    return h.sum()


def branches(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    left = (d * b).tanh()
    right = nn.functional.softmax(c + a, dim=0)
    return (right * left).sum() + c.sum()


def normalised(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    h = nn.functional.layer_norm(a * c, (4,), d, b)
    return nn.functional.mse_loss(h, tg.zeros(4)) + nn.functional.smooth_l1_loss(b, c)


def joined(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    return tg.cat([c, a, tg.stack([d, b]).sum(0)]).square().sum()


def with_intermediate(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    return (u * c).sum() + (d * u * b).sum()


def hooked_inside(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    h = d * c
    h.register_hook(lambda g: g * 2)
    return (h * a + b).sum()


def two_losses(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    h = c * d
    return (a * h).sum(), (d * b * h).sum() + a.sum()


def three_losses(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    return (b * a).sum(), (a * c).sum(), (d * b * c).sum()


def looping(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    rows = tg.stack([c, c * 2])
    last, _ = tg.scan(lambda h, x: ((h * b + x * d).tanh(), h.clone()), a, rows)
    return last.sum()


def scanning(a: Any, b: Any, c: Any, d: Any, u: Any) -> Any:
    last, every = tg.scan(lambda h, x: (h * x[0] + x[1] * b[0], h * 2), a[:1], (c, d))
    return last.sum() + every.sum()


PROGRAMS = [
    chain, shared, views, in_place, branches, normalised, joined, with_intermediate, hooked_inside, two_losses,
    three_losses, looping, scanning,
]  # fmt: skip


def summed(losses: tuple[tg.Tensor, ...], leaves: Tensors) -> None:
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    total.backward()


def one_by_one(losses: tuple[tg.Tensor, ...], leaves: Tensors) -> None:
    for loss in losses:
        loss.backward(retain_graph=True)


def last_first(losses: tuple[tg.Tensor, ...], leaves: Tensors) -> None:
    for loss in reversed(losses):
        loss.backward(retain_graph=True)


def to_some(losses: tuple[tg.Tensor, ...], leaves: Tensors) -> None:
    tg.autograd.backward(list(losses), inputs=[leaves["c"], leaves["a"]])


def with_history(losses: tuple[tg.Tensor, ...], leaves: Tensors) -> None:
    for loss in losses:
        loss.backward(create_graph=True)


BACKWARD = [summed, one_by_one, last_first, to_some, with_history]


def called(program: Program, backward: Callable[..., None]) -> list[tuple[str, list[float]]]:
    """The hooks that are called, with the gradients that they see."""
    calls: list[tuple[str, list[float]]] = []
    values = {
        "a": [0.5, -1.0, 2.0, 1.0],
        "b": [1.0, 2.0, 0.5, -1.0],
        "c": [0.1, 0.2, 0.3, 0.4],
        "d": [2.0, 1.0, 1.0, 3.0],
    }
    leaves = {n: tg.tensor(v, requires_grad=True) for n, v in values.items()}
    u = leaves["b"] * leaves["d"]
    for name, tensor in {**leaves, "u": u}.items():
        tensor.register_hook(lambda g, name=name: calls.append((name, g.tolist())))
    for name, leaf in leaves.items():
        leaf.register_post_accumulate_grad_hook(lambda p, name=name: calls.append((f"{name}.grad", p.grad.tolist())))
    losses = program(**leaves, u=u)
    backward(losses if isinstance(losses, tuple) else (losses,), leaves)
    return calls


@pytest.mark.parametrize("backend", ["interpreter", "eager"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_order(program: Program, backend: str) -> None:
    function = tg.compile(program, backend=backend, fullgraph=True)
    for backward in BACKWARD:
        eager, compiled = called(program, backward), called(function, backward)
        assert [name for name, _ in compiled] == [name for name, _ in eager], backward.__name__
        for (_, found), (_, expected) in zip(compiled, eager, strict=True):
            assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("backend", ["interpreter", "eager"])
def test_order_of_parameters(backend: str) -> None:
    def order(wrap: Callable[[Any], Any]) -> list[str]:
        called: list[str] = []
        model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        for name, parameter in model.named_parameters():
            parameter.register_post_accumulate_grad_hook(lambda _, name=name: called.append(name))
        wrap(model)(tg.ones(3, 2)).sum().backward()
        return called

    assert order(lambda m: tg.compile(m, backend=backend)) == order(lambda m: m)
