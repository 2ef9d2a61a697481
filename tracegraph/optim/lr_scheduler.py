"""Learning-rate schedules: change the `lr` of every parameter group once per `step()`.

All but `ReduceLROnPlateau` are closed forms of the number of steps taken, so restoring that number restores them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.binding import described
from tracegraph.optim.optimizer import Optimizer, check_range


def check_optimizer(schedule: object, optimizer: object) -> None:
    """Refuse what is no optimizer.

    Raises:
        ArgumentError: names the schedule and what it was given.
    """
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"{type(schedule).__name__}: optimizer must be an Optimizer, got {described(optimizer)}")


class LRScheduler(ABC):
    """Derive and write `factor`; group g then has lr = base_lr(g) * factor(steps taken).

    Attributes:
        base_lrs: the learning rates when the schedule began.
        last_epoch: steps taken so far.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        check_optimizer(self, optimizer)
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [g["initial_lr"] for g in optimizer.param_groups]
        self.last_epoch = 0
        self._apply()

    @abstractmethod
    def factor(self, step: int, group: int) -> float:
        """What the base learning rate of group number `group` is multiplied by after `step` steps."""

    def step(self) -> None:
        """Move on by one step."""
        self.last_epoch += 1
        self._apply()

    def _apply(self) -> None:
        for number, (group, base) in enumerate(zip(self.optimizer.param_groups, self.base_lrs, strict=True)):
            group["lr"] = base * self.factor(self.last_epoch, number)

    def get_last_lr(self) -> list[float]:
        """The present learning rate of each group."""
        return [g["lr"] for g in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch, "base_lrs": self.base_lrs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.last_epoch, self.base_lrs = state["last_epoch"], list(state["base_lrs"])
        self._apply()


class LambdaLR(LRScheduler):
    """lr = base_lr * lr_lambda(step); one function, or one per group."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]
    ) -> None:
        groups = len(optimizer.param_groups)
        self.lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lambdas) != groups:
            raise ValueRangeError(f"LambdaLR: {len(self.lambdas)} functions for {groups} parameter groups")
        super().__init__(optimizer)

    def factor(self, step: int, group: int) -> float:
        return self.lambdas[group](step)


class StepLR(LRScheduler):
    """Multiply by `gamma` every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        check_range("step_size", step_size, low=1)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, step: int, group: int) -> float:
        return self.gamma ** (step // self.step_size)


class MultiStepLR(LRScheduler):
    """Multiply by `gamma` at each of the `milestones`."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def factor(self, step: int, group: int) -> float:
        return self.gamma ** bisect_right(self.milestones, step)


class ExponentialLR(LRScheduler):
    """Multiply by `gamma` every step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, step: int, group: int) -> float:
        return self.gamma**step


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from base_lr to `eta_min` over `T_max` steps, and back (Loshchilov & Hutter, 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        check_range("T_max", T_max, low=1)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def factor(self, step: int, group: int) -> float:
        base = self.base_lrs[group]
        if base == 0:
            return 0.0
        lr = self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * step / self.T_max)) / 2
        return lr / base


class LinearLR(LRScheduler):
    """From `start_factor` to `end_factor` in equal steps over `total_iters` steps: a warm-up."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer)

    def factor(self, step: int, group: int) -> float:
        done = min(step, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ReduceLROnPlateau:
    """Multiply by `factor` when a metric has not improved for more than `patience` steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        min_lr: float = 0.0,
    ) -> None:
        check_optimizer(self, optimizer)
        if mode not in ("min", "max"):
            raise ValueRangeError(f"ReduceLROnPlateau: mode={mode!r} must be 'min' or 'max'")
        if not 0 < factor < 1:
            raise ValueRangeError(f"ReduceLROnPlateau: factor={factor} must be between 0 and 1")
        self.optimizer, self.mode, self.factor = optimizer, mode, factor
        self.patience, self.threshold, self.min_lr = patience, threshold, min_lr
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0

    def step(self, metrics: float) -> None:
        """Take note of the metric; perhaps reduce."""
        value = float(metrics)
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
            return
        self.num_bad_epochs += 1
        if self.num_bad_epochs > self.patience:
            self.num_bad_epochs = 0
            for group in self.optimizer.param_groups:
                group["lr"] = max(group["lr"] * self.factor, self.min_lr)

    def _better(self, value: float) -> bool:
        if math.isinf(self.best):
            return value < self.best if self.mode == "min" else value > self.best
        margin = abs(self.best) * self.threshold
        return value < self.best - margin if self.mode == "min" else value > self.best + margin
