"""Schedules that are formulas of the step: decay, warm-up, half cosines, and functions of one's own."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from tracegraph.errors import ValueRangeError
from tracegraph.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer, cosine
from tracegraph.optim.optimizer import Optimizer, check_range


class LambdaLR(LRScheduler):
    """lr = base_lr * lr_lambda(step); one function, or one per group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        groups = len(optimizer.param_groups)
        self.lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lambdas) != groups:
            raise ValueRangeError(f"LambdaLR: {len(self.lambdas)} functions for {groups} parameter groups")
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return self.lambdas[group](step)


class StepLR(LRScheduler):
    """Multiply by `gamma` every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        check_range("step_size", step_size, low=1)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return self.gamma ** (step // self.step_size)


class MultiStepLR(LRScheduler):
    """Multiply by `gamma` at each of the `milestones`."""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return self.gamma ** bisect_right(self.milestones, step)


class ExponentialLR(LRScheduler):
    """Multiply by `gamma` every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return self.gamma**step


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from base_lr to `eta_min` over `T_max` steps, and back (Loshchilov & Hutter, 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        check_range("T_max", T_max, low=1)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        base = self.base_lrs[group]
        if base == 0:
            return 0.0
        return cosine(base, self.eta_min, step / self.T_max) / base


class LinearLR(LRScheduler):
    """From `start_factor` to `end_factor` in equal steps over `total_iters` steps: a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        done = min(step, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ConstantLR(LRScheduler):
    """`factor` times the base learning rate for `total_iters` steps, then the whole of it."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        check_range("factor", factor)
        self.start_factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return self.start_factor if step < self.total_iters else 1.0


class PolynomialLR(LRScheduler):
    """(1 - step / total_iters) ** power, down to 0."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        check_range("total_iters", total_iters, low=1)
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return (1 - min(step, self.total_iters) / self.total_iters) ** self.power


class MultiplicativeLR(LambdaLR):
    """Multiply by `lr_lambda(step)` at each step from the first on."""

    def factor(self, step: int, group: int) -> float:
        return math.prod(self.lambdas[group](s) for s in range(1, step + 1))


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosines from base_lr to `eta_min`, the first over `T_0` steps, each `T_mult` times as long as the one before
    (Loshchilov & Hutter, 2017).
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        check_range("T_0", T_0, low=1)
        check_range("T_mult", T_mult, low=1)
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        base = self.base_lrs[group]
        length = self.T_0
        while step >= length:
            step -= length
            length *= self.T_mult
        return cosine(base, self.eta_min, step / length) / base if base else 0.0
