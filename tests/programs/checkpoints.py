"""Checkpointed calls: part of the graph, unless the second call in backward could be told."""

from __future__ import annotations

from typing import Any

from captured import ramp

import tracegraph as tg
from programs import program
from tracegraph import nn
from tracegraph.autograd import grad
from tracegraph.nn import functional as F
from tracegraph.tensor import Tensor
from tracegraph.utils.checkpoint import checkpoint, checkpoint_sequential

CALLS: list[str] = []


def leaf(*shape: int) -> Tensor:
    return (ramp(*shape) / 7 - 0.4).requires_grad_()


def case() -> tuple[Any, ...]:
    return (leaf(2, 3),)


def residual(x: Tensor, scale: float = 1.0) -> Tensor:
    parts = []
    for power in (1, 2):
        parts.append((x**power).tanh() * scale)
    return x + sum(parts)


@program(case)
def of_a_function(x: Tensor) -> Any:
    y = checkpoint(residual, x, use_reentrant=False, scale=0.5)
    return y, grad(y.square().sum(), x)


@program(case)
def of_several_results(x: Tensor) -> Any:
    first, (second, count) = checkpoint(lambda t: (t.exp(), (t.sin(), 3)), x)
    return first * second * count


def layers() -> tuple[Any, ...]:
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 3)), leaf(2, 3)


@program(layers)
def of_a_module(net: nn.Module, x: Tensor) -> Any:
    return checkpoint(net, x, use_reentrant=False).sum()


@program(layers)
def in_segments(net: nn.Sequential, x: Tensor) -> Any:
    return checkpoint_sequential(net, 2, x, use_reentrant=False).sum()


@program(case)
def written_inside(x: Tensor) -> Any:
    def activated(t: Tensor) -> Tensor:
        y = t * 2
        return y.relu_()

    return checkpoint(activated, x)


def _dropped(x: Tensor) -> Tensor:
    return F.dropout(x.exp(), 0.5)


def seeded() -> tuple[Any, ...]:
    tg.manual_seed(0)
    return case()


@program(seeded)
def random(x: Tensor) -> Any:
    """Eager execution draws the same numbers again."""
    return checkpoint(_dropped, x)


@program(case)
def without_gradients(x: Tensor) -> Any:
    def counted(t: Tensor) -> Tensor:
        CALLS.append("forward")
        return t.exp()

    CALLS.clear()
    with tg.no_grad():
        y = checkpoint(counted, x)
    return y, len(CALLS)


@program(case, breaks=None)
def counting(x: Tensor) -> Any:
    """Counts in backward too."""

    def counted(t: Tensor) -> Tensor:
        CALLS.append("call")
        return t.exp()

    CALLS.clear()
    y = checkpoint(counted, x)
    y.sum().backward()
    return x.grad, len(CALLS)


@program(layers, breaks=None)
def running_statistics(net: nn.Module, x: Tensor) -> Any:
    """Statistics advance in backward too."""
    norm = nn.BatchNorm1d(3)
    y = checkpoint(norm, x)
    y.sum().backward()
    return norm.running_mean, norm.num_batches_tracked, x.grad
