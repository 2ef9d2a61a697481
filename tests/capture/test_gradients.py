"""`autograd.grad` inside captured code: one graph, eager's numbers and histories, eager's errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
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

    check(before_the_trace, args, breaks=("backward",))


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


def written_by_its_own_operation(x):
    """Formulas of in-place operations read what these have overwritten, at both orders."""
    y = x * 2
    y.mul_(x).pow_(3)
    y[0].mul_(x[1]).clamp_(-1, 1)
    (g,) = grad(y.sum(), x, create_graph=True)
    return g, grad((g * g).sum(), x)


def test_what_an_operation_overwrites_is_differentiated() -> None:
    check(written, lambda: (leaf(2, 3),), fullgraph=True)
    captured = check(written_by_its_own_operation, lambda: (leaf(2, 3),), fullgraph=True)
    # copies are there for formulas that read them
    assert not any(n.call_op.name == "clone" and not n.users for n in graphs_of(captured)[0].calls)


def test_memory_that_was_written_to_is_left_to_the_tape() -> None:
    check(written_since, lambda: (leaf(2, 3),), breaks=("backward",))


def written_since(x):
    y = (x * x).sum()
    with tg.no_grad():
        x.add_(1)
    return grad(y, x)


def several_steps(x):
    """Each step differentiates what the one before has written to."""
    optimizer = tg.optim.SGD([x], lr=0.1, momentum=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (x * x).sum().backward()
        optimizer.step()
    return x, x.grad


def two_players(x, y):
    """The second loss goes through what the first step has changed, beside what it has not."""
    made = x * 2
    (made.detach() * y).sum().backward()
    with tg.no_grad():
        y -= 0.1 * y.grad
        y.grad.zero_()
    (made * y).sum().backward()
    return x.grad, y.grad


def test_what_was_written_to_before_is_differentiated() -> None:
    check(several_steps, lambda: (leaf(2, 3),), fullgraph=True)
    check(two_players, lambda: (leaf(2, 3), leaf(2, 3)), fullgraph=True)


@pytest.mark.parametrize("backend", ["interpreter", "llvm"])
def test_several_steps_compiled(backend: str) -> None:
    expected, actual = several_steps(leaf(2, 3)), tg.compile(several_steps, backend=backend, fullgraph=True)(leaf(2, 3))
    for e, a in zip(expected, actual, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), e.detach().numpy(), rtol=1e-5)


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


# ------------------------------------------------------------------------------------------ backward()


def _model() -> nn.Module:
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 2))


def descend(model, x, rate):
    for p in model.parameters():
        p.grad = None
    loss = model(x).square().mean()
    loss.backward()
    with tg.no_grad():
        for p in model.parameters():
            p.sub_(p.grad * rate)
    return loss.detach()


def accumulate(model, x, rate):
    (model(x).square().mean() * rate).backward()
    model(x * 2).abs().sum().backward()
    return [p.grad.norm() for p in model.parameters()]


def shared_gradient(model, x, rate):
    a, b = model[0].weight, model[3].bias
    (a.sum() + b.sum()).backward()
    with tg.no_grad():
        a.grad.mul_(2)
    return a.grad.sum(), b.grad.sum()


def twice_with_retained_graph(model, x, rate):
    loss = model(x).square().mean()
    loss.backward(retain_graph=True)
    loss.backward()
    tg.autograd.backward([model[0].weight.sum(), model[0].bias], [None, tg.ones(8)])


STEPS = [descend, accumulate, shared_gradient, twice_with_retained_graph]


@pytest.mark.parametrize("step", STEPS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("backend", ["replay", "llvm", "interpreter"])
def test_a_whole_training_step_is_one_graph(step: Callable[..., Any], backend: str) -> None:
    captured = (
        capture_of(step, fullgraph=True) if backend == "replay" else tg.compile(step, backend=backend, fullgraph=True)
    )
    eager, compiled = _model(), _model()
    for i, rate in enumerate((0.1, 0.05, 0.025)):
        x = ramp(4 + i, 3) / 9
        expected, actual = step(eager, x, rate), captured(compiled, x, rate)
        assert _close(actual, expected)
        for (name, p), q in zip(eager.state_dict().items(), compiled.state_dict().values(), strict=True):
            assert tg.allclose(p.double(), q.double(), rtol=1e-4, atol=1e-6), name
        for p, q in zip(eager.parameters(), compiled.parameters(), strict=True):
            assert (p.grad is None) == (q.grad is None)
            assert p.grad is None or tg.allclose(p.grad, q.grad, rtol=1e-4, atol=1e-6)
    assert len({id(p.grad) for p in compiled.parameters() if p.grad is not None}) == sum(
        p.grad is not None for p in compiled.parameters()
    )


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_close, a, b))
    return a is b if a is None else bool(tg.allclose(a, b, rtol=1e-4, atol=1e-6))


def undone_twice(x):
    loss = (x * x).sum()
    loss.backward()
    loss.backward()


def returned_after_backward(x):
    loss = (x * x).sum()
    loss.backward()
    return loss, loss.requires_grad, str(loss.grad_fn), loss * 2


def composite_returned_after_backward(x):
    loss = F.mse_loss(x, tg.zeros_like(x))
    loss.backward()
    return loss, loss.requires_grad, loss * 2


def returned_without_kept_elements(x):
    wide = x.expand(2, 2, 3)
    (wide * x).sum().backward()
    return wide, str(wide.grad_fn)


def not_a_scalar(x):
    (x * x).backward()


def without_history(x):
    x.detach().sum().backward()


def recorded(x):
    (x**3).sum().backward(create_graph=True)
    return x.grad.requires_grad


@pytest.mark.parametrize(
    "program",
    [undone_twice, returned_after_backward, composite_returned_after_backward, not_a_scalar, without_history, recorded],
    ids=lambda p: p.__name__,
)
def test_what_is_left_to_the_tape(program: Callable[..., Any]) -> None:
    check(program, lambda: (leaf(2, 3),), breaks=None)


def test_what_lies_before_the_trace_gets_its_gradient() -> None:
    def gradient(step: Any) -> Any:
        x = leaf(2, 3)
        step(x.exp())
        return x.grad

    def step(h):
        (h * h).sum().backward()

    assert_same(gradient(capture_of(step)), gradient(step))


def test_gradients_that_are_there_are_written_to() -> None:
    def step(x):
        (x * 2).sum().backward()

    captured, x = capture_of(step), leaf(2, 3)
    captured(x)
    first = x.grad
    captured(x)
    assert x.grad is first
    assert first is not None
    assert first.tolist() == [[4.0] * 3] * 2


def test_a_history_that_kept_nothing_is_not_spent() -> None:
    captured = capture_of(returned_without_kept_elements)
    for step in (returned_without_kept_elements, captured):
        x = leaf(2, 3)
        wide, name = step(x)
        assert name == "<ExpandBackward>"
        wide.sum().backward()
        assert x.grad.tolist() == (4 * x + 2).tolist()


def test_a_spent_history_is_an_error_later() -> None:
    captured = capture_of(returned_after_backward)
    for step in (returned_after_backward, captured):
        loss, _, _, double = step(leaf(2, 3))
        for tensor in (loss, double):
            with pytest.raises(tg.TracegraphError, match="backward through mul a second time"):
                tensor.backward()


def test_a_spent_history_of_an_op_that_is_decomposed() -> None:
    def step(x: tg.Tensor) -> tg.Tensor:
        loss = F.binary_cross_entropy_with_logits(x * 2, x.detach().sigmoid())
        loss.backward()
        return loss

    for run in (step, capture_of(step, fullgraph=True)):
        loss = run(leaf(2, 3))
        with pytest.raises(tg.TracegraphError, match="a second time"):
            loss.backward()
