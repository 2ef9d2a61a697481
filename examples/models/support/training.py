"""Train a compiled model, and compare it with the same model run eagerly."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tracegraph as tg
from tracegraph import nn, optim

SEED = 0
#: relative difference that rounding in another order explains
TOLERANCE = 1e-3

Loss = Callable[..., tg.Tensor]


def train(
    model: nn.Module,
    loss_of: Loss,
    batches: Sequence[tuple[Any, ...]],
    lr: float = 2e-3,
    clip: float | None = None,
    falls_to: float = 0.8,
) -> Loss:
    """Train `model` with AdamW on the compiled `loss_of(model, *batch)`, print how it goes, compare with eager.

    Returns:
        The compiled loss function.

    Raises:
        SystemExit: the loss did not fall to `falls_to` of where it began, or eager and compiled steps differ.
    """
    tg.manual_seed(SEED)
    compiled = tg.compile(loss_of)
    optimizer = optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    losses, seconds = [], []
    for step, batch in enumerate(batches):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = compiled(model, *batch)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
        if step % max(len(batches) // 4, 1) == 0 or step == len(batches) - 1:
            print(f"step {step + 1:4}  loss {losses[-1]:9.5f}")
    print(f"first step {seconds[0]:.2f} s with compilation, then {1e3 * np.median(seconds):.1f} ms")
    report_agreement(model, loss_of, compiled, batches[-1])
    window = max(len(batches) // 8, 1)
    if np.mean(losses[-window:]) > falls_to * np.mean(losses[:window]):
        raise SystemExit("the loss did not fall as it should")
    return compiled


def report_agreement(model: nn.Module, eager: Loss, compiled: Loss, batch: tuple[Any, ...]) -> None:
    """Compare loss and gradients of one step, eager and compiled from the same random state, and print it.

    Whole runs are not compared: training amplifies a difference in the last bit a thousandfold within some steps.

    Raises:
        SystemExit: they differ by more than rounding.
    """
    expected = gradients(model, eager, batch)
    pairs = zip(gradients(model, compiled, batch), expected, strict=True)
    difference = np.max([largest_difference(actual, wanted) for actual, wanted in pairs])  # nan, if one is nan
    print(f"eager and compiled: loss and {len(expected) - 1} gradients agree to {difference:.1e}")
    if not difference < TOLERANCE:
        raise SystemExit("eager and compiled steps differ")


def gradients(model: nn.Module, loss_of: Loss, batch: tuple[Any, ...]) -> list[tg.Tensor]:
    """The loss and the gradients of all parameters that have one."""
    tg.manual_seed(SEED)
    model.zero_grad()
    loss = loss_of(model, *batch)
    loss.backward()
    return [loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


def largest_difference(actual: tg.Tensor, expected: tg.Tensor) -> float:
    """The largest absolute difference of two tensors, relative to their largest element (at least 1e-4)."""
    return ((actual - expected).abs().max() / expected.abs().max().clamp(min=1e-4)).item()
