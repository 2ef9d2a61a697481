"""Adagrad (Duchi, Hazan & Singer, 2011)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracegraph.ops import functional as F
from tracegraph.optim.optimizer import Optimizer, ParamGroup, checked, decayed
from tracegraph.tensor import Tensor


class Adagrad(Optimizer):
    """p -= lr_t * g / (sqrt(sum of g^2) + eps), lr_t = lr / (1 + (t - 1) * lr_decay)."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            checked(
                lr=lr,
                lr_decay=lr_decay,
                weight_decay=weight_decay,
                initial_accumulator_value=initial_accumulator_value,
                eps=eps,
                maximize=maximize,
            ),
        )

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        if not state:
            state.update(step=0, sum=F.full_like(p, group["initial_accumulator_value"]))
        state["step"] += 1
        gradient = decayed(p, gradient, group)
        lr = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        total = state["sum"].add_(gradient * gradient)
        p.sub_(gradient / (total.sqrt() + group["eps"]) * lr)
