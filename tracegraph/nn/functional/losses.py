"""Losses that are a line of tensor arithmetic."""

from __future__ import annotations

from typing import Any

from tracegraph.errors import ValueRangeError
from tracegraph.ops import functional as ops


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """max(0, -target * (input1 - input2) + margin)."""
    return _reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """x where the target is 1, max(0, margin - x) where it is -1."""
    return _reduced(ops.where(target == 1, input, (margin - input).clamp(min=0)), reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """max(0, distance(anchor, positive) - distance(anchor, negative) + margin)."""
    near, far = (pairwise_distance(anchor, x, p, eps) for x in (positive, negative))
    return _reduced((near - far + margin).clamp(min=0), reduction)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The norm of the differences of vectors in the last dimension."""
    return ops.vector_norm(x1 - x2 + eps, p, -1, keepdim)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """Negative log-likelihood of counts under Poisson distributions, without the constant term."""
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    return _reduced(loss, reduction)


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + exp(-target * x))."""
    return _reduced(ops.softplus(-target * input), reduction)


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction not in ("none", "mean", "sum"):
        raise ValueRangeError(f"reduction={reduction!r} must be 'none', 'mean' or 'sum'")
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()
