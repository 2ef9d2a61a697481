"""NAdam, Adam with Nesterov momentum (Dozat, 2016)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracegraph.ops import functional as F
from tracegraph.optim.optimizer import Optimizer, ParamGroup, checked, decayed
from tracegraph.tensor import Tensor


class NAdam(Optimizer):
    """p -= lr * m' / (sqrt(v') + eps), where m' mixes the gradient with the running mean m that the next step begins
    with, by weights that `momentum_decay` lets grow towards beta1.

    `weight_decay` enters the gradient, or with `decoupled_weight_decay` shrinks the parameter.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
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
                momentum_decay=momentum_decay,
                decoupled_weight_decay=decoupled_weight_decay,
                maximize=maximize,
            ),
        )

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        if not state:
            state.update(step=0, mu_product=1.0, exp_avg=F.zeros_like(p), exp_avg_sq=F.zeros_like(p))
        state["step"] += 1
        step, lr, (beta1, beta2) = state["step"], group["lr"], group["betas"]
        gradient = decayed(p, gradient, group, group["decoupled_weight_decay"])
        now, following = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        state["mu_product"] = product = state["mu_product"] * now
        mean = state["exp_avg"].mul_(beta1).add_(gradient * (1 - beta1))
        square = state["exp_avg_sq"].mul_(beta2).add_(gradient * gradient * (1 - beta2))
        denominator = (square / (1 - beta2**step)).sqrt() + group["eps"]
        p.sub_(gradient / denominator * (lr * (1 - now) / (1 - product)))
        p.sub_(mean / denominator * (lr * following / (1 - product * following)))
