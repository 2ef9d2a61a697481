"""Adam (Kingma & Ba, 2015) and AdamW (Loshchilov & Hutter, 2019)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tracegraph.ops import functional as F
from tracegraph.optim.optimizer import Optimizer, ParamGroup, checked, decayed
from tracegraph.tensor import Tensor


class Adam(Optimizer):
    """p -= lr * m' / (sqrt(v') + eps), with bias-corrected running means m of g and v of g^2.

    `weight_decay` is added to the gradient (L2 penalty); `amsgrad` divides by the largest v' so far.
    """

    #: whether weight decay shrinks the parameter instead of entering the gradient
    decoupled = False

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, checked(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)
        )

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        if not state:
            state.update(step=0, exp_avg=F.zeros_like(p), exp_avg_sq=F.zeros_like(p))
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = F.zeros_like(p)
        state["step"] += 1
        lr, (beta1, beta2) = group["lr"], group["betas"]
        gradient = decayed(p, gradient, group, self.decoupled)
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.mul_(beta1).add_(gradient * (1 - beta1))
        square.mul_(beta2).add_(gradient * gradient * (1 - beta2))
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            largest.copy_(F.maximum(largest, square))
            square = largest
        correction1, correction2 = 1 - beta1 ** state["step"], 1 - beta2 ** state["step"]
        denominator = square.sqrt() / math.sqrt(correction2) + group["eps"]
        p.sub_(mean / denominator * (lr / correction1))


class AdamW(Adam):
    """Adam with decoupled weight decay: p shrinks by lr * weight_decay before the update."""

    decoupled = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
