"""Adafactor (Shazeer & Stern, 2018)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracegraph.errors import ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.optim.optimizer import Optimizer, ParamGroup, check_range, checked, decayed
from tracegraph.tensor import Tensor
from tracegraph.tensor.questions import finfo


class Adafactor(Optimizer):
    """p -= a * g / sqrt(v) / max(1, rms / d), rms that of g / sqrt(v), and a = max(eps[1], rms(p)) * min(lr, t^-0.5).

    The running mean v of g^2, of decay 1 - t^beta2_decay, is kept for the rows and the columns of the last two
    dimensions: v = r c / mean(r). Vectors have the whole of it. `weight_decay` shrinks the parameter.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        check_range("eps[0]", 0.0 if eps[0] is None else eps[0])
        check_range("eps[1]", eps[1])
        check_range("d", d, low=1.0)
        if not beta2_decay <= 0.0:
            raise ValueRangeError(f"invalid beta2_decay={beta2_decay}: must be at most 0")
        options = checked(lr=lr, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, {**options, "beta2_decay": beta2_decay, "eps": eps, "d": d})

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        if not state:
            state.update(step=0, **_variances(gradient))
        state["step"] += 1
        step, lr = state["step"], group["lr"]
        least = finfo(p.dtype).eps if group["eps"][0] is None else group["eps"][0]
        rate = _root_mean_square(p).clamp(min=group["eps"][1]) * min(lr, step**-0.5)
        gradient = decayed(p, gradient, group, decoupled=True)
        variance = _estimate(gradient, state, step ** group["beta2_decay"], least)
        change = variance.clamp(min=least * least).rsqrt() * gradient
        p.sub_(change * (rate / (_root_mean_square(change) / group["d"]).clamp(min=1.0)))


def _variances(gradient: Tensor) -> dict[str, Tensor]:
    if gradient.ndim < 2:
        return {"variance": F.zeros_like(gradient)}
    rows, columns = gradient[..., :1], gradient[..., :1, :]
    return {"row_var": F.zeros_like(rows), "col_var": F.zeros_like(columns)}


def _estimate(gradient: Tensor, state: dict[str, Any], weight: float, least: float) -> Tensor:
    """The running mean of the squared gradient after one with this weight."""
    square = gradient * gradient
    if gradient.ndim < 2:
        return state["variance"].lerp_(square, weight)
    rows = state["row_var"].lerp_(square.mean(-1, keepdim=True), weight)
    columns = state["col_var"].lerp_(square.mean(-2, keepdim=True), weight)
    return rows * columns / rows.mean(-2, keepdim=True).clamp(min=least)


def _root_mean_square(x: Tensor) -> Tensor:
    return (x * x).mean().sqrt()
