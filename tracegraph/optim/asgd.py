"""ASGD, averaged stochastic gradient descent (Polyak & Juditsky, 1992)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracegraph.ops import functional as F
from tracegraph.optim.optimizer import Optimizer, ParamGroup, checked, decayed
from tracegraph.tensor import Tensor


class ASGD(Optimizer):
    """p = p * (1 - lambd * eta) - eta * g, eta = lr / (1 + lambd * lr * t)^alpha; state["ax"] is the mean of p over
    the steps after `t0`.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, checked(lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, maximize=maximize)
        )

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        if not state:
            state.update(step=0, eta=group["lr"], mu=1.0, ax=F.zeros_like(p))
        state["step"] += 1
        step, lr, lambd = state["step"], group["lr"], group["lambd"]
        gradient = decayed(p, gradient, group)
        p.mul_(1 - lambd * state["eta"]).sub_(gradient * state["eta"])
        state["ax"].add_((p - state["ax"]) * state["mu"])
        state["eta"] = lr / (1 + lambd * lr * step) ** group["alpha"]
        state["mu"] = 1 / max(1, step - group["t0"])
