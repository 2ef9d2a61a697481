"""Parameters of distributions: numbers and tensors brought together, probabilities and logits (`utils` in PyTorch)."""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import described
from tracegraph.ops.core.definition import Handle
from tracegraph.tensor.questions import finfo, is_tensor


def broadcast_all(*values: Any) -> tuple[Handle, ...]:
    """Tensors and numbers as tensors of one shape; numbers get the dtype of the first tensor.

    Raises:
        ValueRangeError: a value is neither a tensor nor a number.
    """
    dtype = None
    for value in values:
        if is_tensor(value):
            dtype = value.dtype
            break
    tensors = [_tensor(value, dtype or dtypes.DEFAULT.dtype) for value in values]
    return tuple(F.broadcast_tensors(*tensors)) if len(tensors) > 1 else tuple(tensors)


def _tensor(value: Any, dtype: dtypes.DType) -> Handle:
    if is_tensor(value):
        return value
    if not isinstance(value, int | float):
        raise ValueRangeError(f"Input arguments must all be numbers or tensors, got {described(value)}")
    return F.full((), value, dtype=dtype)


def eps_of(value: Handle) -> float:
    """The rounding unit of the dtype of a tensor."""
    return finfo(value.dtype).eps


def tiny_of(value: Handle) -> float:
    """The least positive normal number of the dtype of a tensor."""
    return finfo(value.dtype).tiny


def clamp_probs(probs: Handle) -> Handle:
    """Probabilities kept off 0 and 1 by the rounding unit of the dtype."""
    eps = eps_of(probs)
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Handle, is_binary: bool = False) -> Handle:
    """Logarithms of probabilities; with `is_binary` of the odds."""
    clamped = clamp_probs(probs)
    return clamped.log() - (-clamped).log1p() if is_binary else clamped.log()


def logits_to_probs(logits: Handle, is_binary: bool = False) -> Handle:
    """The probabilities that `probs_to_logits` gave the logits of."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def check_one_given(name: str, **given: Any) -> None:
    """Check that exactly one of several ways to say the same is used.

    Raises:
        ValueRangeError: none is, or several are.
    """
    if sum(value is not None for value in given.values()) != 1:
        raise ValueRangeError(f"{name}: give either {' or '.join(given)}, but not both")


def sum_rightmost(value: Handle, dims: int) -> Handle:
    """The sums over the last `dims` dimensions."""
    return value.sum(tuple(range(-dims, 0))) if dims else value
