"""Adadelta (Zeiler, 2012)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracegraph.ops import functional as F
from tracegraph.optim.optimizer import Optimizer, ParamGroup, checked, decayed
from tracegraph.tensor import Tensor


class Adadelta(Optimizer):
    """p -= lr * d with d = sqrt(u + eps) / sqrt(v + eps) * g; v and u are running means of g^2 and d^2."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, checked(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize))

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        if not state:
            state.update(step=0, square_avg=F.zeros_like(p), acc_delta=F.zeros_like(p))
        state["step"] += 1
        gradient = decayed(p, gradient, group)
        rho, eps = group["rho"], group["eps"]
        square = state["square_avg"].mul_(rho).add_(gradient * gradient * (1 - rho))
        delta = (state["acc_delta"] + eps).sqrt() / (square + eps).sqrt() * gradient
        state["acc_delta"].mul_(rho).add_(delta * delta * (1 - rho))
        p.sub_(delta * group["lr"])
