"""The schedule of stochastic weight averaging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracegraph.errors import ValueRangeError
from tracegraph.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer, cosine, per_group
from tracegraph.optim.optimizer import Optimizer


class SWALR(LRScheduler):
    """From the learning rate found at the first step to `swa_lr`, along half a cosine or a line.

    May be used behind another schedule: where it begins is read from the optimizer.

    Args:
        swa_lr: the learning rate at the end, one for all parameter groups or one for each.
        anneal_epochs: the number of steps to it.
        anneal_strategy: `"cos"` or `"linear"`.

    Raises:
        ValueRangeError: an unknown strategy, or a negative number of steps.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        for group, rate in zip(optimizer.param_groups, per_group(optimizer, "swa_lr", swa_lr), strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueRangeError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueRangeError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        self.anneal_strategy = anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of the way is gone after `step` steps."""
        share = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return share if self.anneal_strategy == "linear" else cosine(0.0, 1.0, share)

    def get_lr(self) -> list[float]:
        step = max(1, self.last_epoch) if self.anneal_epochs == 0 else self.last_epoch
        gone, share = self._share(step - 1), self._share(step)

        def rate(group: dict[str, Any]) -> float:
            end: float = group["swa_lr"]
            start = end if gone == 1 else (group["lr"] - gone * end) / (1 - gone)
            return end * share + start * (1 - share)

        return [rate(group) for group in self.optimizer.param_groups]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the number of steps; the learning rates are the optimizer's."""
        self.last_epoch, self.base_lrs = state["last_epoch"], list(state["base_lrs"])
