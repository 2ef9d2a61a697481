"""Scaling of losses so that gradients of 16 bits do not vanish (Micikevicius et al., 2018); `amp.GradScaler`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracegraph import dtypes
from tracegraph.autograd import no_grad
from tracegraph.errors import ArgumentError, DTypeError, ValueRangeError
from tracegraph.ops.core.arguments import described
from tracegraph.optim.optimizer import Optimizer
from tracegraph.tensor import Tensor


class GradScaler:
    """Multiply losses by a scale, divide gradients by it, and skip steps with gradients that are not finite.

        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    Args:
        device: "cpu", the only device there is.
        init_scale: the first scale.
        growth_factor, growth_interval: the scale is multiplied by the one after as many updates without a skipped step
            as the other says.
        backoff_factor: the scale is multiplied by it where a step was skipped.
        enabled: False makes `step` the optimiser's own, and everything else nothing.

    Raises:
        ArgumentError: another device.
        ValueRangeError: a growth factor of at most 1, a backoff factor of at least 1.
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._is_enabled = bool(enabled)
        if not self._is_enabled:
            return
        if device != "cpu":
            raise ArgumentError(f'GradScaler: device must be "cpu", the only one, got {described(device)}')
        if growth_factor <= 1.0 or backoff_factor >= 1.0:
            raise ValueRangeError(
                f"GradScaler: growth_factor={growth_factor} must be above 1, backoff_factor={backoff_factor} below 1"
            )
        self._scale = float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        #: since the last update, by optimiser: whether its gradients are finite
        self._unscaled: dict[int, bool] = {}
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """A tensor, or tensors within iterables, times the scale."""
        if not self._is_enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if not isinstance(outputs, Iterable):
            raise ArgumentError(f"scale() takes a Tensor or an iterable of them, got {described(outputs)}")
        scaled = map(self.scale, outputs)
        return type(outputs)(scaled) if isinstance(outputs, list | tuple) else scaled

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients by the scale, for who wants to see or clip them before `step`, which else does it.

        Raises:
            ValueRangeError: done already since the last `update`.
            DTypeError: gradients of 16 bits, whose scaled values are lost when they are divided.
        """
        if not self._is_enabled:
            return
        if id(optimizer) in self._unscaled:
            raise ValueRangeError(
                "unscale_() was called for this optimizer already, or step(), since the last update()"
            )
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for gradient in gradients:
            if gradient.dtype is dtypes.float16:
                raise DTypeError("unscale_(): gradients of float16; keep the parameters in float32, and use autocast")
        with no_grad():
            for gradient in gradients:
                gradient.mul_(1.0 / self._scale)
            self._unscaled[id(optimizer)] = all(bool(g.isfinite().all()) for g in gradients)

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Unscale the gradients unless that is done, and step if all are finite; what the optimiser's step returns.

        Raises:
            ArgumentError: with a closure, whose gradients would not be unscaled.
            ValueRangeError: a second step since the last `update`.
        """
        if not self._is_enabled:
            return optimizer.step(*args, **kwargs)
        if args or kwargs:
            raise ArgumentError("step() takes no closure: its gradients would not be unscaled")
        if id(optimizer) in self._stepped:
            raise ValueRangeError("step() was called for this optimizer already since the last update()")
        if id(optimizer) not in self._unscaled:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return optimizer.step() if self._unscaled[id(optimizer)] else None

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """End an iteration: shrink the scale if a step was skipped, else grow it when it is time, or set a new one.

        Raises:
            ValueRangeError: no gradients were unscaled since the last call.
        """
        if not self._is_enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._unscaled:
            raise ValueRangeError("update(): no gradients were unscaled since the last update(); call step() before")
        elif not all(self._unscaled.values()):
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale *= self._growth_factor
                self._growth_tracker = 0
        self._unscaled.clear()
        self._stepped.clear()

    def is_enabled(self) -> bool:
        """Whether losses are scaled."""
        return self._is_enabled

    def get_scale(self) -> float:
        """The scale; 1 if disabled."""
        return self._scale if self._is_enabled else 1.0

    def get_growth_factor(self) -> float:
        """See the class."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """See the class."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """See the class."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """See the class."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """See the class."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """See the class."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and the count of updates; empty if disabled."""
        if not self._is_enabled:
            return {}
        return {
            "scale": self._scale,
            **{name: getattr(self, f"_{name}") for name in _SAVED},
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ArgumentError: it is empty, that of a disabled one.
        """
        if not self._is_enabled:
            return
        if not isinstance(state_dict, dict) or not state_dict:
            what = "what state_dict() of an enabled GradScaler gives"
            raise ArgumentError(f"load_state_dict: expected {what}, got {described(state_dict)}")
        self._scale = float(state_dict["scale"])
        self._growth_tracker = state_dict["_growth_tracker"]
        for name in _SAVED:
            setattr(self, f"_{name}", state_dict[name])


_SAVED = ("growth_factor", "backoff_factor", "growth_interval")
