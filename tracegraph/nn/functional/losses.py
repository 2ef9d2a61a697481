"""Losses that are a line of tensor arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tracegraph.errors import ValueRangeError
from tracegraph.ops import functional as ops

#: errors of the ops speak of the functions
NAMES_ERRORS = True


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
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """max(0, distance(anchor, positive) - distance(anchor, negative) + margin).

    With `swap` the distance of positive and negative counts instead of the latter where it is smaller (Balntas et al.
    2016).
    """
    near, far = (pairwise_distance(anchor, x, p, eps) for x in (positive, negative))
    if swap:
        far = ops.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduced((near - far + margin).clamp(min=0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """`triplet_margin_loss` with another distance than `pairwise_distance`.

    Raises:
        ValueRangeError: the margin is not positive.
    """
    if margin <= 0:
        raise ValueRangeError(f"triplet_margin_with_distance_loss: margin={margin} must be positive")
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return _reduced((near - far + margin).clamp(min=0), reduction)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The norm of the differences of vectors in the last dimension."""
    return ops.vector_norm(x1 - x2 + eps, p, -1, keepdim)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """Negative log-likelihood of counts under Poisson distributions; `full` adds Stirling's term for large counts."""
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + ops.where(target > 1, stirling, 0)
    return _reduced(loss, reduction)


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + exp(-target * x))."""
    return _reduced(ops.softplus(-target * input), reduction)


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction not in ("none", "mean", "sum"):
        raise ValueRangeError(f"reduction={reduction!r} must be 'none', 'mean' or 'sum'")
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """1 - cos(input1, input2) where the target is 1, max(0, cos(input1, input2) - margin) where it is -1."""
    cosine = ops.cosine_similarity(input1, input2, -1)
    loss = ops.where(target == 1, 1 - cosine, ops.where(target == -1, (cosine - margin).clamp(min=0), 0))
    return _reduced(loss, reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Binary cross entropy of scores, averaged over the classes in the last dimension."""
    loss = -(target * ops.logsigmoid(input) + (1 - target) * ops.logsigmoid(-input))
    loss = loss if weight is None else loss * weight
    return _reduced(loss.mean(-1), reduction)


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """By how much classes that are not targets come closer than 1 to those that are, over the number of classes.

    Args:
        input: scores [N, C] or [C].
        target: in each row numbers of classes, up to the first -1.
    """
    is_given = (target < 0).cumsum(-1) == 0
    names = (target.unsqueeze(-1) == ops.arange(input.shape[-1])) & is_given.unsqueeze(-1)
    is_other = names.any(-2).logical_not()
    scores = input.gather(-1, ops.where(target == -1, 0, target))
    excess = (1 - scores.unsqueeze(-1) + input.unsqueeze(-2)).clamp(min=0)
    counted = is_given.unsqueeze(-1) & is_other.unsqueeze(-2)
    return _reduced(ops.where(counted, excess, 0).sum((-2, -1)) / input.shape[-1], reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Mean over the wrong classes of max(0, margin - score of the right class + score) to the power `p`.

    Raises:
        ValueRangeError: `p` is neither 1 nor 2.
    """
    if p not in (1, 2):
        raise ValueRangeError(f"multi_margin_loss: p={p} must be 1 or 2")
    right = target.unsqueeze(-1)
    excess = (margin - input.gather(-1, right) + input).clamp(min=0) ** p
    excess = excess if weight is None else excess * weight[target].unsqueeze(-1)
    loss = excess.scatter(-1, right, 0.0).sum(-1) / input.shape[-1]
    return _reduced(loss, reduction)
