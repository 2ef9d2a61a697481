"""What learning-rate schedules share: their base class, half cosines, and a value for each parameter group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.core.arguments import described
from tracegraph.optim.optimizer import Optimizer


def check_optimizer(schedule: object, optimizer: object) -> None:
    """Refuse what is no optimizer.

    Raises:
        ArgumentError: names the schedule and what it was given.
    """
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"{type(schedule).__name__}: optimizer must be an Optimizer, got {described(optimizer)}")


class LRScheduler:
    """Derive and write `factor`; group g then has lr = base_lr(g) * factor(steps taken). Or write `get_lr`.

    Args:
        last_epoch: the number of the last step, to go on with a schedule whose optimizer's state was loaded.

    Attributes:
        base_lrs: the learning rates when the schedule began.
        last_epoch: steps taken so far.

    Raises:
        ValueRangeError: `last_epoch` is given and the optimizer has no schedule behind it.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(self, optimizer)
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch != -1 and "initial_lr" not in group:
                raise ValueRangeError(
                    f"{type(self).__name__}: last_epoch={last_epoch} resumes a schedule, but parameter group {number} "
                    'has no "initial_lr"; load the optimizer\'s state first'
                )
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [g["initial_lr"] for g in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        self._apply()

    def factor(self, step: int, group: int) -> float:
        """What the base learning rate of group number `group` is multiplied by after `step` steps."""
        raise ArgumentError(f"{type(self).__name__} has neither factor(step, group) nor get_lr(): define one of them")

    def get_lr(self) -> list[float]:
        """The learning rate of each group after `last_epoch` steps."""
        return [base * self.factor(self.last_epoch, number) for number, base in enumerate(self.base_lrs)]

    def step(self) -> None:
        """Move on by one step."""
        self.last_epoch += 1
        self._apply()

    def _apply(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate

    def get_last_lr(self) -> list[float]:
        """The present learning rate of each group."""
        return [g["lr"] for g in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch, "base_lrs": self.base_lrs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.last_epoch, self.base_lrs = state["last_epoch"], list(state["base_lrs"])
        self._apply()


def cosine(start: float, end: float, share: float) -> float:
    """Half a cosine: `start` at a share of 0, `end` at 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def per_group(optimizer: Optimizer, name: str, value: float | Sequence[float]) -> list[float]:
    """One value for each parameter group.

    Raises:
        ValueRangeError: a sequence of another length.
    """
    groups = len(optimizer.param_groups)
    values: list[Any] = list(value) if isinstance(value, list | tuple) else [value] * groups
    if len(values) != groups:
        raise ValueRangeError(f"{name}: {len(values)} values for {groups} parameter groups")
    return values
