"""Adamax, the variant of Adam by the largest gradient (Kingma & Ba, 2015)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracegraph.ops import functional as F
from tracegraph.optim.optimizer import Optimizer, ParamGroup, checked, decayed
from tracegraph.tensor import Tensor


class Adamax(Optimizer):
    """p -= lr * m' / u, with the bias-corrected running mean m of g, and u = max(beta2 * u, |g| + eps)."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, checked(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize))

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        if not state:
            state.update(step=0, exp_avg=F.zeros_like(p), exp_inf=F.zeros_like(p))
        state["step"] += 1
        gradient = decayed(p, gradient, group)
        beta1, beta2 = group["betas"]
        mean = state["exp_avg"].mul_(beta1).add_(gradient * (1 - beta1))
        largest = state["exp_inf"].copy_(F.maximum(state["exp_inf"] * beta2, gradient.abs() + group["eps"]))
        p.sub_(mean / largest * (group["lr"] / (1 - beta1 ** state["step"])))
