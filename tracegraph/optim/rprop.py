"""Rprop, resilient backpropagation (Riedmiller & Braun, 1993)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracegraph.errors import ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.optim.optimizer import Optimizer, ParamGroup, check_pair, checked
from tracegraph.tensor import Tensor


class Rprop(Optimizer):
    """p -= d * sign(g), with a step d for each element: d *= etas[1] while the sign of g stays; where it turns,
    d *= etas[0] and the element rests for one step. d lies within `step_sizes`.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
    ) -> None:
        check_pair("etas", etas)
        check_pair("step_sizes", step_sizes)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueRangeError(f"invalid etas={etas}: must be below and above 1, and positive")
        super().__init__(params, checked(lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize))

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        if not state:
            state.update(step=0, prev=F.zeros_like(p), step_size=F.full_like(p, group["lr"]))
        state["step"] += 1
        (shrink, grow), (least, most) = group["etas"], group["step_sizes"]
        turn = (gradient * state["prev"]).sign()
        size = state["step_size"]
        size.copy_(F.where(turn > 0, size * grow, F.where(turn < 0, size * shrink, size)).clamp(least, most))
        gradient = F.where(turn < 0, 0.0, gradient)
        p.sub_(gradient.sign() * size)
        state["prev"].copy_(gradient)
