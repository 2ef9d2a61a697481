"""RAdam, Adam with a rectified step (Liu et al., 2020)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tracegraph.ops import functional as F
from tracegraph.optim.optimizer import Optimizer, ParamGroup, checked, decayed
from tracegraph.tensor import Tensor


class RAdam(Optimizer):
    """Adam, its step scaled by what is known of the variance of 1 / sqrt(v); while that is too little, p -= lr * m'.

    `weight_decay` enters the gradient, or with `decoupled_weight_decay` shrinks the parameter.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            checked(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                decoupled_weight_decay=decoupled_weight_decay,
                maximize=maximize,
            ),
        )

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        if not state:
            state.update(step=0, exp_avg=F.zeros_like(p), exp_avg_sq=F.zeros_like(p))
        state["step"] += 1
        step, lr, (beta1, beta2) = state["step"], group["lr"], group["betas"]
        gradient = decayed(p, gradient, group, group["decoupled_weight_decay"])
        mean = state["exp_avg"].mul_(beta1).add_(gradient * (1 - beta1))
        square = state["exp_avg_sq"].mul_(beta2).add_(gradient * gradient * (1 - beta2))
        corrected = mean / (1 - beta1**step)
        correction2 = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / correction2
        if length > 5.0:
            ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            corrected = corrected * (math.sqrt(ratio) * math.sqrt(correction2)) / (square.sqrt() + group["eps"])
        p.sub_(corrected * lr)
