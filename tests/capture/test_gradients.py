"""`autograd.grad` inside captured code: one graph, eager's numbers and histories, eager's errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from captured import assert_same, capture_of, check, graphs_of, ramp

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn
from tracegraph.autograd import grad


def leaf(*shape: int) -> tg.Tensor:
    return (ramp(*shape) / 7 - 0.4).requires_grad_()


def derivative(x):
    (g,) = grad((x * x).sum(), x)
    return g, g.requires_grad


def second_derivative(x):
    (g,) = grad((x**3).sum(), x, create_graph=True)
    (h,) = grad(g.sum(), x)
    return g, h


def directional(x):
    y = (x * 2).tanh()
    return grad(y, x, grad_outputs=tg.ones_like(y) * 3)


def several(x):
    y, z = x.exp(), x.sin()
    return grad([y.sum(), z], [x, y], [None, tg.ones_like(z)], create_graph=True)


def composites(x):
    y = F.layer_norm(F.gelu(x), (3,)).softmax(-1)
    return grad((y * y).sum(), x)


def of_an_intermediate(x):
    h = x * 2
    y = (h.exp() * x).sum()
    return grad(y, [h, x])


def unused(x):
    return grad(x.sum(), [x, (x * 2)], allow_unused=True)


def under_no_grad(x):
    y = (x * x).sum()
    with tg.no_grad():
        return grad(y, x)


def penalty(x):
    y = (x.sin() * x).sum(1)
    (g,) = grad(y, x, tg.ones_like(y), create_graph=True)
    return ((g.norm(dim=1) - 1) ** 2).mean()


def hessian_vector_product(x):
    v = tg.ones_like(x)
    (g,) = grad((x**4).sum(), x, create_graph=True)
    return grad((g * v).sum(), x)


def through_views(x):
    y = x[1:].transpose(0, 1).reshape(-1)
    return grad((y * y).sum(), x)


PROGRAMS = [
    derivative, second_derivative, directional, several, composites, of_an_intermediate, unused, under_no_grad,
    penalty, hessian_vector_product, through_views,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_gradients_are_part_of_the_graph(program: Callable[..., Any]) -> None:
    captured = check(program, lambda: (leaf(2, 3),), lambda: (leaf(3, 3),), fullgraph=True)
    assert len(graphs_of(captured)) == 2


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_compiled(program: Callable[..., Any], backend: str) -> None:
    compiled = tg.compile(program, backend=backend, fullgraph=True)
    for x in (leaf(2, 3), leaf(3, 3), leaf(4, 3)):
        for a, b in zip(_flat(compiled(x)), _flat(program(x)), strict=True):
            if isinstance(b, tg.Tensor):
                assert a.requires_grad == b.requires_grad
                assert tg.allclose(a, b, rtol=1e-5, atol=1e-6)
            else:
                assert a == b


def _flat(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_a_loss_of_gradients_trains(backend: str) -> None:
    def gradients(step: Any) -> list[Any]:
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        x = leaf(5, 3)
        step(model, x).backward()
        return [x.grad, *(p.grad for p in model.parameters())]

    def loss(model, x):
        y = model(x)
        (g,) = grad(y.sum(), x, create_graph=True)
        return (g**2).mean() + y.square().mean()

    for a, b in zip(gradients(tg.compile(loss, backend=backend, fullgraph=True)), gradients(loss), strict=True):
        assert tg.allclose(a, b, rtol=1e-4, atol=1e-6)


def test_dropout_keeps_its_mask() -> None:
    def program(x):
        return grad(F.dropout(x, 0.5).sum(), x)[0]

    def drawn(function: Any) -> Any:
        tg.manual_seed(3)
        return function(leaf(4, 5))

    assert_same(drawn(capture_of(program, fullgraph=True)), drawn(program))


def before_the_trace(h, x):
    return grad((h * h).sum(), x)


def a_hook_on_the_way(x):
    return grad((x * x).sum(), x)


def written(x):
    y = x * 2
    y.mul_(x)
    return grad(y.sum(), x)


def test_a_way_that_starts_before_the_trace_is_left_to_the_tape() -> None:
    def args() -> tuple[Any, ...]:
        x = leaf(2, 3)
        return x.exp(), x

    check(before_the_trace, args, breaks=("native-call",))


def test_a_leaf_that_turns_into_an_inner_tensor_is_noticed() -> None:
    captured = capture_of(before_the_trace)
    x = leaf(2, 3)
    with pytest.raises(tg.TracegraphError, match="allow_unused"):
        captured(leaf(2, 3), x)
    assert_same(captured(x.exp(), x), before_the_trace(x.exp(), x))


def test_hooks_are_called() -> None:
    calls: list[str] = []
    captured = capture_of(a_hook_on_the_way)
    captured(leaf(2, 3))
    x = leaf(2, 3)
    x.register_hook(lambda g: calls.append("called"))
    captured(x)
    assert calls == ["called"]


def test_memory_that_was_written_to_is_left_to_the_tape() -> None:
    check(written, lambda: (leaf(2, 3),), breaks=("native-call",))


@pytest.mark.parametrize(
    "program",
    [
        lambda x: grad(x * 2, x),
        lambda x: grad(x.sum(), x.detach()),
        lambda x: grad(x.sum(), x * 2),
        lambda x: grad(x.detach().sum(), x),
        lambda x: grad(x * 2, x, tg.ones(7)),
        lambda x: grad(x.sum(), 3),
    ],
    ids=["no scalar", "input without grad", "unused input", "output without grad", "wrong shape", "no tensor"],
)
def test_errors_are_the_tapes(program: Callable[..., Any]) -> None:
    check(program, lambda: (leaf(2, 3),), breaks=None)
