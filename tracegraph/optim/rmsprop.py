"""RMSprop (Hinton, 2012)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracegraph.ops import functional as F
from tracegraph.optim.optimizer import Optimizer, ParamGroup, checked, decayed
from tracegraph.tensor import Tensor


class RMSprop(Optimizer):
    """p -= lr * g / (sqrt(v) + eps), v the running mean of g^2 with smoothing `alpha`.

    `centered` subtracts the square of the running mean of g; `momentum` accumulates the steps.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            checked(
                lr=lr,
                alpha=alpha,
                eps=eps,
                weight_decay=weight_decay,
                momentum=momentum,
                centered=centered,
                maximize=maximize,
            ),
        )

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        if not state:
            names = ["square_avg"] + ["grad_avg"] * group["centered"] + ["momentum_buffer"] * (group["momentum"] > 0)
            state.update({name: F.zeros_like(p) for name in names})
        gradient = decayed(p, gradient, group)
        alpha = group["alpha"]
        variance = state["square_avg"].mul_(alpha).add_(gradient * gradient * (1 - alpha))
        if group["centered"]:
            mean = state["grad_avg"].mul_(alpha).add_(gradient * (1 - alpha))
            variance = variance - mean * mean
        step = gradient / (variance.sqrt() + group["eps"])
        if group["momentum"]:
            step = state["momentum_buffer"].mul_(group["momentum"]).add_(step)
        p.sub_(step * group["lr"])
