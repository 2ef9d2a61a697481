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
from tracegraph.ops.arguments import described
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
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
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
        return _cosine(base, self.eta_min, step / self.T_max) / base


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
        return _cosine(base, self.eta_min, step / length) / base if base else 0.0


class CyclicLR(LRScheduler):
    """Between `base_lr` and `max_lr` and back, up in `step_size_up` steps and down in `step_size_down` (Smith, 2017).

    Args:
        mode: "triangular"; "triangular2" halves the height each cycle; "exp_range" multiplies it by gamma ** step.
        scale_fn: the height in place of `mode`, as a function of the cycle (from 1) or the iteration (`scale_mode`).
        cycle_momentum: move the momentum the other way, between `max_momentum` and `base_momentum`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - PyTorch's arguments
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        heights: dict[str, Callable[[float], float]] = {
            "triangular": lambda cycle: 1.0,
            "triangular2": lambda cycle: 1 / 2.0 ** (cycle - 1),
            "exp_range": lambda step: gamma**step,
        }
        if scale_fn is None and mode not in heights:
            raise ValueRangeError(f"CyclicLR: mode={mode!r} must be one of {', '.join(map(repr, heights))}")
        self._height = heights[mode] if scale_fn is None else scale_fn
        self._by_cycle = scale_mode == "cycle" if scale_fn is not None else mode != "exp_range"
        self._up = step_size_up
        self._length = step_size_up + (step_size_up if step_size_down is None else step_size_down)
        self.max_lrs = _per_group(optimizer, "max_lr", max_lr)
        self._momenta = (base_momentum, max_momentum) if cycle_momentum else None
        for group, lr in zip(optimizer.param_groups, _per_group(optimizer, "base_lr", base_lr), strict=True):
            if last_epoch == -1:
                group["lr"] = group["initial_lr"] = lr
        super().__init__(optimizer, last_epoch)

    def _position(self, step: int) -> float:
        """How far from the lower to the upper end."""
        done = step % self._length
        share = done / self._up if done <= self._up else (self._length - done) / (self._length - self._up)
        return share * self._height(step // self._length + 1 if self._by_cycle else step)

    def factor(self, step: int, group: int) -> float:
        base = self.base_lrs[group]
        return (base + (self.max_lrs[group] - base) * self._position(step)) / base

    def _apply(self) -> None:
        super()._apply()
        if self._momenta is not None:
            low, high = self._momenta
            _set_momentum(self.optimizer, high - (high - low) * self._position(self.last_epoch))


class OneCycleLR(LRScheduler):
    """From `max_lr / div_factor` up to `max_lr` and down to the `final_div_factor`-th part of where it began, once
    (Smith & Topin, 2018).

    Args:
        total_steps: the length; or `epochs` times `steps_per_epoch`.
        pct_start: the part of the steps that goes up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move the momentum the other way, between `max_momentum` and `base_momentum`.
        three_phase: come down to where it began as slowly as it went up, and only then to the end.

    Raises:
        ValueRangeError: no length is given, or another strategy; or `step` is called more than `total_steps` times.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - PyTorch's arguments
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueRangeError("OneCycleLR: pass total_steps, or epochs and steps_per_epoch")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueRangeError(f"OneCycleLR: anneal_strategy={anneal_strategy!r} must be 'cos' or 'linear'")
        self.total_steps = total_steps if total_steps is not None else (epochs or 0) * (steps_per_epoch or 0)
        check_range("total_steps", self.total_steps, low=1)
        check_range("pct_start", pct_start)
        self._anneal = _cosine if anneal_strategy == "cos" else _line
        top = pct_start * self.total_steps - 1
        ends = [top, 2 * top, self.total_steps - 1] if three_phase else [top, self.total_steps - 1]
        lrs = [1.0, div_factor, 1.0, 1 / final_div_factor] if three_phase else [1.0, div_factor, 1 / final_div_factor]
        momenta = [max_momentum, base_momentum, *[max_momentum] * (len(ends) - 1)]
        self._lrs, self._momenta = (
            list(zip(ends, lrs, lrs[1:], strict=False)),
            list(zip(ends, momenta, momenta[1:], strict=False)),
        )
        self._cycle_momentum = cycle_momentum
        for group, lr in zip(optimizer.param_groups, _per_group(optimizer, "max_lr", max_lr), strict=True):
            if last_epoch == -1:
                group["lr"] = group["initial_lr"] = lr / div_factor
        super().__init__(optimizer, last_epoch)

    def _between(self, phases: Sequence[tuple[float, float, float]], step: int) -> float:
        begin = 0.0
        for end, start, stop in phases:
            if step <= end or end == phases[-1][0]:
                return self._anneal(start, stop, (step - begin) / (end - begin))
            begin = end
        raise AssertionError("there is a last phase")

    def factor(self, step: int, group: int) -> float:
        if step > self.total_steps:
            raise ValueRangeError(f"OneCycleLR: step {step} of a cycle of {self.total_steps} steps")
        return self._between(self._lrs, step)

    def _apply(self) -> None:
        super()._apply()
        if self._cycle_momentum:
            _set_momentum(self.optimizer, self._between(self._momenta, self.last_epoch))


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


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _line(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


def _per_group(optimizer: Optimizer, name: str, value: float | Sequence[float]) -> list[float]:
    groups = len(optimizer.param_groups)
    values: list[Any] = list(value) if isinstance(value, list | tuple) else [value] * groups
    if len(values) != groups:
        raise ValueRangeError(f"{name}: {len(values)} values for {groups} parameter groups")
    return values


def _set_momentum(optimizer: Optimizer, momentum: float) -> None:
    """Momentum in the optimizer's own terms: `betas[0]`, or `momentum`."""
    for group in optimizer.param_groups:
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        elif "momentum" in group:
            group["momentum"] = momentum


class ReduceLROnPlateau:
    """Multiply by `factor` when a metric has not improved for more than `patience` steps.

    Args:
        mode: "min" if less is better, "max" if more.
        threshold: by how much a metric must improve on the best one, as a part of it or ("abs") as it is.
        cooldown: steps after a reduction in which nothing counts.
        min_lr: where it ends, for all groups or for each.
        eps: a reduction by less is not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        check_optimizer(self, optimizer)
        if mode not in ("min", "max"):
            raise ValueRangeError(f"ReduceLROnPlateau: mode={mode!r} must be 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueRangeError(f"ReduceLROnPlateau: threshold_mode={threshold_mode!r} must be 'rel' or 'abs'")
        if not 0 < factor < 1:
            raise ValueRangeError(f"ReduceLROnPlateau: factor={factor} must be between 0 and 1")
        self.optimizer, self.mode, self.factor = optimizer, mode, factor
        self.patience, self.threshold, self.threshold_mode = patience, threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.min_lrs = _per_group(optimizer, "min_lr", min_lr)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def step(self, metrics: Any) -> None:
        """Take note of the metric; perhaps reduce."""
        value = float(metrics)
        self.last_epoch += 1
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.num_bad_epochs, self.cooldown_counter = 0, self.cooldown
            for group, lowest in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                reduced = max(group["lr"] * self.factor, lowest)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced

    def _better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if math.isinf(self.best):
            return sign * value < sign * self.best
        margin = self.threshold if self.threshold_mode == "abs" else self.best * self.threshold
        return sign * value < sign * self.best - margin

    def get_last_lr(self) -> list[float]:
        """The present learning rate of each group."""
        return [g["lr"] for g in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
