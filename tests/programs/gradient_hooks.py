"""Hooks of gradients and of modules: in the graph, registered when it has run, or a break."""

from __future__ import annotations

import copy
from typing import Any

from captured import ramp

import tracegraph as tg
from programs import program
from tracegraph import nn
from tracegraph.autograd import grad
from tracegraph.tensor import Tensor

SEEN: list[Any] = []


def leaf(*shape: int) -> Tensor:
    return (ramp(*shape) / 7 - 0.4).requires_grad_()


def case() -> tuple[Any, ...]:
    return (leaf(2, 3),)


@program(case)
def replaced_gradient(x: Tensor) -> Any:
    y = x * 2
    y.register_hook(lambda g: g * 3)
    return y.exp(), y


@program(case)
def gradient_only_seen(x: Tensor) -> Any:
    y = x.sin()
    y.register_hook(lambda g: None)
    return y * 2


@program(case)
def closure_of_the_trace(x: Tensor) -> Any:
    scale = x.exp()
    y = x * 2

    def scaled(g: Tensor) -> Tensor:
        return g * scale.detach() + y.detach()

    y.register_hook(scaled)
    return y * y


@program(case)
def in_order_of_registration(x: Tensor) -> Any:
    y = x * 2
    y.register_hook(lambda g: g + 1)
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g.clamp(max=25))
    return y * x


@program(case)
def removed(x: Tensor) -> Any:
    y = x * 2
    first = y.register_hook(lambda g: g + 1)
    second = y.register_hook(lambda g: g * 10)
    first.remove()
    first.remove()
    z = y * 3
    w = x.cos()
    w.register_hook(lambda g: g * 5).remove()
    return z, w, second.id > first.id


@program(case)
def under_no_grad(x: Tensor) -> Any:
    y = x * 2
    with tg.no_grad():
        y.register_hook(lambda g: g * 3)
    return y.exp()


@program(case)
def written_after(x: Tensor) -> Any:
    """The hook stays with what the tensor was."""
    y = x * 2
    y.register_hook(lambda g: g * 3)
    y.mul_(x)
    return y


@program(case)
def gradients_in_the_trace(x: Tensor) -> Any:
    y = x * 2
    y.register_hook(lambda g: g * 3)
    z = (y * y).sum()
    return grad(z, [x, y])


@program(case)
def of_a_leaf(x: Tensor) -> Any:
    """Registered at every call, when the graph has run."""
    x.register_hook(lambda g: g * 3)
    return x.exp()


@program(case)
def removed_of_a_leaf(x: Tensor) -> Any:
    handle = x.register_hook(lambda g: g * 3)
    handle.remove()
    return x.exp()


@program(case)
def after_accumulation(x: Tensor) -> Any:
    def halve(t: Tensor) -> None:
        t.grad = t.grad / 2

    x.register_post_accumulate_grad_hook(halve)
    return x.exp()


@program(case)
def retained_gradient_of_a_leaf(x: Tensor) -> Any:
    x.retain_grad()
    return x * 2


class Bounded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x).tanh()
        if h.requires_grad:
            h.register_hook(lambda g: g.clamp(-0.1, 0.1))
        return self.second(h)


def bounded() -> tuple[Any, ...]:
    tg.manual_seed(0)
    return Bounded(), ramp()


@program(bounded)
def in_a_module(module: Bounded, x: Tensor) -> Any:
    return module(x)


# ------------------------------------------------------------------------------------------ what breaks


@program(case, breaks=("custom-gradient",))
def remembering(x: Tensor) -> Any:
    y = x * 2
    y.register_hook(SEEN.append)
    return y * 3


@program(case, breaks=("custom-gradient",))
def used_before(x: Tensor) -> Any:
    y = x * 2
    z = y.sum()
    y.register_hook(lambda g: g * 3)
    return z, y.exp()


@program(case, breaks=("custom-gradient",))
def written_before(x: Tensor) -> Any:
    y = x * 2
    y.mul_(x)
    y.register_hook(lambda g: g * 3)
    return y


@program(case, breaks=("custom-gradient",))
def of_a_view(x: Tensor) -> Any:
    y = (x * 2)[0]
    y.register_hook(lambda g: g * 3)
    return y.exp()


@program(case, breaks=("custom-gradient",))
def removed_after_use(x: Tensor) -> Any:
    y = x * 2
    handle = y.register_hook(lambda g: g * 3)
    z = y.exp()
    handle.remove()
    return z


@program(case)
def retained_gradient(x: Tensor) -> Any:
    y = x * 2
    y.retain_grad()
    return y.exp()


@program(case)
def retained_gradients_of_two_passes(x: Tensor) -> Any:
    y = x.exp()
    y.retain_grad()
    z = y * 3
    z.retain_grad()
    z.sum().backward(retain_graph=True)
    (y * y).sum().backward()
    return y, y.grad, z.grad


@program(case, breaks=("tensor-attribute",))
def retained_gradient_of_what_is_written_to(x: Tensor) -> Any:
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y.sum().backward()
    return y.grad


@program(case, breaks=("backward",))
def retained_on_the_way_of_grad(x: Tensor) -> Any:
    y = x * 2
    y.retain_grad()
    (gradient,) = grad((y * y).sum(), x)
    return gradient, y.grad


@program(case, breaks=("exception",))
def without_gradient(x: Tensor) -> Any:
    y = x.detach() * 2
    y.register_hook(lambda g: g)
    return y


@program(case, breaks=("not-reconstructible",))
def escaping_handle(x: Tensor) -> Any:
    y = x * 2
    handle = y.register_hook(lambda g: g * 3)
    return y * 3, type(handle).__name__, [handle].pop().remove


@program(case, breaks=("custom-gradient",))
def variable_assigned_later(x: Tensor) -> Any:
    for factor in (2, 3):
        x = x * 2
        x.register_hook(lambda g: g * factor)  # noqa: B023 - the last factor is what all see
    return x


@program(case, breaks=("custom-gradient",))
def variable_assigned_behind_a_break(x: Tensor) -> Any:
    factor = 2
    y = x * 2
    y.register_hook(lambda g: g * factor)
    print("break")
    factor = 3
    return y * 2


@program(case, breaks=("side-effect",))
def variable_assigned_before_a_break(x: Tensor) -> Any:
    factor = 2
    y = x * 2
    y.register_hook(lambda g: g * factor)
    print("break")
    return y * 2


def watched() -> tuple[Any, ...]:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    model[0].register_full_backward_hook(lambda module, into, out: (out[0].sum() * 2,) if into[0] is None else into)
    model[1].register_full_backward_hook(lambda module, into, out: (into[0] * out[0].sum(),))
    model[1].register_full_backward_pre_hook(lambda module, out: (out[0] * 3,))
    return copy.deepcopy(model), ramp()


@program(watched, breaks=None)
def backward_hooks_of_modules(model: nn.Module, x: Tensor) -> Any:
    return model(x)
