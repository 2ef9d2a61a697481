"""Optimisers and schedules refuse what they cannot work with, and name it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg
from tracegraph import nn, optim
from tracegraph.optim import lr_scheduler


def sgd() -> optim.SGD:
    return optim.SGD([tg.ones(2, requires_grad=True)], lr=0.1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: optim.Adam(nn.Linear(2, 3)), TypeError, r"got Linear.*; pass its parameters\(\)"),
        (lambda: optim.SGD(3), TypeError, r"iterable of tensors or groups, got 3 \(int\)$"),
        (lambda: optim.SGD([{"lr": 3}]), TypeError, 'dict with a "params" entry'),
        (lambda: sgd().add_param_group(3), TypeError, r"must be a dict .* got 3 \(int\)"),
        (lambda: optim.SGD([3]), TypeError, r"takes Tensors, got 3 \(int\)"),
        (lambda: optim.SGD([tg.ones(2, requires_grad=True) * 2]), TypeError, "is not a leaf.*detach"),
        (lambda: optim.SGD([tg.ones(2)], lr="a"), TypeError, r"lr must be a number, got 'a' \(str\)"),
        (lambda: optim.Adam([tg.ones(2)], betas=3), TypeError, "betas must be two numbers, got 3"),
        (lambda: optim.Adam([tg.ones(2)], betas=(0.5, 2)), ValueError, r"betas\[1\]=2: must be in"),
        (lambda: sgd().load_state_dict({}), TypeError, 'expected a dict with "state"'),
        (lambda: lr_scheduler.StepLR(3, 1), TypeError, "StepLR: optimizer must be an Optimizer, got 3"),
        (lambda: lr_scheduler.StepLR(sgd(), 0), ValueError, "step_size=0: must be at least 1"),
        (lambda: lr_scheduler.CosineAnnealingLR(sgd(), 0), ValueError, "T_max=0: must be at least 1"),
        (lambda: lr_scheduler.ReduceLROnPlateau(3), TypeError, "ReduceLROnPlateau: optimizer must be"),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
