"""Schedules that move the learning rate up and down, and the momentum the other way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from tracegraph.errors import ValueRangeError
from tracegraph.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer, cosine, per_group
from tracegraph.optim.optimizer import Optimizer, check_range


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
        self.max_lrs = per_group(optimizer, "max_lr", max_lr)
        self._momenta = (base_momentum, max_momentum) if cycle_momentum else None
        for group, lr in zip(optimizer.param_groups, per_group(optimizer, "base_lr", base_lr), strict=True):
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
        self._anneal = cosine if anneal_strategy == "cos" else _line
        top = pct_start * self.total_steps - 1
        ends = [top, 2 * top, self.total_steps - 1] if three_phase else [top, self.total_steps - 1]
        lrs = [1.0, div_factor, 1.0, 1 / final_div_factor] if three_phase else [1.0, div_factor, 1 / final_div_factor]
        momenta = [max_momentum, base_momentum, *[max_momentum] * (len(ends) - 1)]
        self._lrs = [(end, *step) for end, step in zip(ends, pairwise(lrs), strict=True)]
        self._momenta = [(end, *step) for end, step in zip(ends, pairwise(momenta), strict=True)]
        self._cycle_momentum = cycle_momentum
        for group, lr in zip(optimizer.param_groups, per_group(optimizer, "max_lr", max_lr), strict=True):
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


def _line(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


def _set_momentum(optimizer: Optimizer, momentum: float) -> None:
    """Momentum in the optimizer's own terms: `betas[0]`, or `momentum`."""
    for group in optimizer.param_groups:
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        elif "momentum" in group:
            group["momentum"] = momentum
