"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracegraph.errors import ValueRangeError
from tracegraph.optim.optimizer import Optimizer, ParamGroup, checked, decayed
from tracegraph.tensor import Tensor


class SGD(Optimizer):
    """p -= lr * v with v = momentum * v + (1 - dampening) * (g + weight_decay * p).

    With `nesterov`, the step is along g + momentum * v (Sutskever et al., 2013). The first v is the first gradient.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueRangeError("nesterov needs a momentum above 0 and no dampening")
        super().__init__(
            params,
            checked(
                lr=lr,
                momentum=momentum,
                dampening=dampening,
                weight_decay=weight_decay,
                nesterov=nesterov,
                maximize=maximize,
            ),
        )

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        gradient = decayed(p, gradient, group)
        momentum = group["momentum"]
        if momentum:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = gradient.clone()
            else:
                state["momentum_buffer"].mul_(momentum).add_(gradient * (1 - group["dampening"]))
            velocity = state["momentum_buffer"]
            gradient = gradient + velocity * momentum if group["nesterov"] else velocity
        p.sub_(gradient * group["lr"])
