"""Schedules made of schedules."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.core.arguments import described
from tracegraph.optim.lr_scheduler.scheduler import LRScheduler
from tracegraph.optim.optimizer import Optimizer


class ChainedScheduler(LRScheduler):
    """Several schedules at once: their factors multiply."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self.schedulers = _checked(self, schedulers)
        super().__init__(self.schedulers[0].optimizer if optimizer is None else optimizer)

    def factor(self, step: int, group: int) -> float:
        return math.prod(s.factor(step, group) for s in self.schedulers)


class SequentialLR(LRScheduler):
    """One schedule after another, each from its beginning at the step in `milestones` where the one before ends."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self.schedulers, self.milestones = _checked(self, schedulers), list(milestones)
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueRangeError(
                f"SequentialLR: {len(self.schedulers)} schedules need one milestone less, got {len(self.milestones)}"
            )
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        number = bisect_right(self.milestones, step)
        return self.schedulers[number].factor(step - (self.milestones[number - 1] if number else 0), group)


def _checked(schedule: object, schedulers: Sequence[LRScheduler]) -> list[LRScheduler]:
    listed = list(schedulers)
    for number, scheduler in enumerate(listed):
        if not isinstance(scheduler, LRScheduler):
            raise ArgumentError(
                f"{type(schedule).__name__}: schedulers[{number}] must be an LRScheduler, got {described(scheduler)}"
            )
    if not listed:
        raise ValueRangeError(f"{type(schedule).__name__}: schedulers is empty")
    return listed
