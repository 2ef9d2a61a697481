"""Hooks of gradients in captured code: called in eager's order, on eager's gradients, in backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from captured import assert_close, capture_of, check, derivatives, graphs_of, ramp
from programs import gradient_hooks as programs
from programs.gradient_hooks import leaf

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import family_of

CAPTURED = [
    programs.replaced_gradient, programs.gradient_only_seen, programs.closure_of_the_trace,
    programs.in_order_of_registration, programs.removed, programs.under_no_grad, programs.written_after,
]  # fmt: skip
BROKEN = [
    programs.used_before, programs.written_before, programs.of_a_view, programs.removed_after_use,
    programs.escaping_handle, programs.variable_assigned_later, programs.variable_assigned_behind_a_break,
    programs.variable_assigned_before_a_break,
]  # fmt: skip
BACKENDS = ["replay", "interpreter", "llvm"]


def compiled(program: Any, backend: str, **options: Any) -> Any:
    return capture_of(program, **options) if backend == "replay" else tg.compile(program, backend=backend, **options)


@pytest.mark.parametrize("program", CAPTURED, ids=lambda p: p.__name__)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("order", [1, 2])
def test_gradients(program: Callable[..., Any], backend: str, order: int) -> None:
    function = compiled(program, backend, fullgraph=True)
    for shape in ((2, 3), (4, 3)):
        assert_close(derivatives(function, leaf(*shape), order), derivatives(program, leaf(*shape), order))


@pytest.mark.parametrize("program", BROKEN, ids=lambda p: p.__name__)
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_of_what_breaks(program: Callable[..., Any], backend: str) -> None:
    function = compiled(program, backend)
    for _ in range(2):
        assert_close(derivatives(function, leaf(2, 3), 1), derivatives(program, leaf(2, 3), 1))


@pytest.mark.parametrize("program", [*CAPTURED, programs.gradients_in_the_trace], ids=lambda p: p.__name__)
def test_one_graph(program: Callable[..., Any]) -> None:
    assert len(graphs_of(check(program, lambda: (leaf(2, 3),), fullgraph=True))) == 1


@pytest.mark.parametrize("program", [programs.of_a_leaf, programs.removed_of_a_leaf, programs.after_accumulation])
@pytest.mark.parametrize("backend", BACKENDS)
def test_hooks_of_leaves(program: Callable[..., Any], backend: str) -> None:
    """Registered anew at every call."""

    def gradients(function: Any) -> list[Any]:
        x, found = leaf(2, 3), []
        for _ in range(3):
            x.grad = None
            function(x).sum().backward()
            found.append(x.grad)
        return found

    assert_close(gradients(compiled(program, backend, fullgraph=True)), gradients(program))


def test_a_hook_of_a_leaf_is_called_by_a_backward_pass_in_the_trace() -> None:
    def program(x):
        x.register_hook(lambda g: g * 3)
        (x * 2).sum().backward()

    for function in (program, capture_of(program)):
        x = leaf(2, 3)
        function(x)
        assert x.grad is not None
        assert x.grad.tolist() == [[6.0] * 3] * 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_hooks_that_remember(backend: str) -> None:
    function = compiled(programs.remembering, backend)
    for run in (programs.remembering, function, function):
        programs.SEEN.clear()
        run(leaf(2, 3)).sum().backward()
        assert [g.tolist() for g in programs.SEEN] == [[[3.0] * 3] * 2]
    programs.SEEN.clear()


def test_retained_gradients() -> None:
    kept = []

    def program(x):
        y = x * 2
        y.retain_grad()
        kept.append(y)
        return y.exp()

    for function in (program, capture_of(program)):
        kept.clear()
        function(leaf(2, 3)).sum().backward()
        (y,) = kept
        assert y.grad is not None
        assert tg.allclose(y.grad, y.exp())


def test_a_step_in_backward() -> None:
    """An optimiser that works in hooks: the gradient is used up when it is there."""

    def program(model, x):
        def descend(p):
            with tg.no_grad():
                p.sub_(p.grad * 0.1)
            p.grad = None

        for p in model.parameters():
            p.register_post_accumulate_grad_hook(descend)
        return model(x).square().sum()

    def trained(function: Any) -> list[Any]:
        tg.manual_seed(0)
        model = nn.Linear(3, 2)
        function(model, tg.ones(4, 3)).backward()
        assert all(p.grad is None for p in model.parameters())
        return [p.detach() for p in model.parameters()]

    assert_close(trained(tg.compile(program, fullgraph=True)), trained(program))


# ------------------------------------------------------------------------------------------ modules


class Log:
    """What the hooks of a model have seen, in order."""

    def __init__(self, model: nn.Sequential) -> None:
        self.entries: list[Any] = []
        for name, module in model.named_children():
            module.register_full_backward_pre_hook(lambda m, out, name=name: self.note(f"pre {name}", out))
            module.register_full_backward_hook(lambda m, into, out, name=name: self.note(f"post {name}", into, out))

    def note(self, event: str, *gradients: Any) -> None:
        self.entries.append((event, [[g if g is None else g.sum().item() for g in part] for part in gradients]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("needs_input_grad", [False, True])
def test_hooks_of_modules_are_called_in_order(backend: str, needs_input_grad: bool) -> None:
    def outcome(wrap: Callable[[Any], Any]) -> Any:
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        log = Log(model)
        function = wrap(model)
        gradients = []
        for _ in range(2):
            x = tg.ones(5, 3, requires_grad=needs_input_grad)
            function(x).square().sum().backward()
            gradients.append(x.grad)
        return log.entries, [*gradients, *(p.grad for p in model.parameters())]

    wanted, gradients = outcome(lambda model: model)
    found, compiled_gradients = outcome(lambda model: compiled(model, backend))
    assert [event for event, _ in found] == [event for event, _ in wanted]
    for (_, a), (_, b) in zip(found, wanted, strict=True):
        assert a == [[None if v is None else pytest.approx(v, rel=1e-4, abs=1e-5) for v in part] for part in b]
    assert_close(compiled_gradients, gradients)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hooks_of_modules_that_replace_gradients(backend: str) -> None:
    def gradients(wrap: Callable[[Any], Any]) -> list[Any]:
        model, x = programs.watched()
        x.requires_grad_()
        function = wrap(model)
        function(x).square().sum().backward()
        return [x.grad, *(p.grad for p in model.parameters())]

    assert_close(gradients(lambda model: compiled(model, backend)), gradients(lambda model: model))


def test_a_hook_that_changes_the_shape_breaks_in_words_of_the_program() -> None:
    def hooked(x):
        y = x * 2
        y.register_hook(lambda gradient: gradient[:1])
        return y.sum()

    function = capture_of(hooked)
    function(ramp(3, requires_grad=True))
    ((_, stop),) = family_of(function).breaks
    assert stop.reason.id == "custom-gradient"
    assert stop.detail == "a hook of a gradient: it gives (f32[1]) for inputs (f32[3])"
