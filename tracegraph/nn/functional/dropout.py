"""Dropout, drawing its random key from the global generator."""

from __future__ import annotations

from typing import Any

from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.nn.functional.activation import in_place
from tracegraph.ops import functional as ops

#: errors of the ops speak of the functions
NAMES_ERRORS = True


def _check_probability(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueRangeError(f"{name}: p={p} must be a probability in [0, 1]")


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zeros with probability `p`, the rest scaled by 1 / (1 - p); the input itself unless `training`."""
    _check_probability("dropout", p)
    if not training or p == 0:
        return input
    return in_place(input, ops.dropout_with_key(input, ops.next_key(), p), inplace)


def _feature_dropout(name: str, input: Any, p: float, training: bool, inplace: bool, batched_rank: int) -> Any:
    _check_probability(name, p)
    if input.ndim not in (batched_rank - 1, batched_rank):
        raise ShapeError(
            f"{name}: an input of shape {list(input.shape)} must have {batched_rank} dimensions, or "
            f"{batched_rank - 1} without a batch"
        )
    if not training or p == 0:
        return input
    channels = tuple(input.shape[: input.ndim - batched_rank + 2])
    ones = ops.ones((*channels, *(1,) * (input.ndim - len(channels))), dtype=input.dtype)
    return in_place(input, input * ops.dropout_with_key(ones, ops.next_key(), p), inplace)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of signals [N, C, L] or [C, L]."""
    return _feature_dropout("dropout1d", input, p, training, inplace, 3)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of images [N, C, H, W] or [C, H, W]."""
    return _feature_dropout("dropout2d", input, p, training, inplace, 4)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of volumes [N, C, D, H, W] or [C, D, H, W]."""
    return _feature_dropout("dropout3d", input, p, training, inplace, 5)


#: what SELU tends to for large negative numbers
_SELU_FLOOR = -1.7580993408473766


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout to SELU's lower limit that keeps mean 0 and variance 1 (Klambauer et al. 2017)."""
    return _alpha_dropout("alpha_dropout", input, tuple(input.shape), p, training, inplace)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """`alpha_dropout` of whole channels of [N, C, ...].

    Raises:
        ShapeError: there are no channels.
    """
    if input.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout: an input of shape {list(input.shape)} must have 2 dimensions or more")
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _alpha_dropout("feature_alpha_dropout", input, shape, p, training, inplace)


def _alpha_dropout(name: str, input: Any, shape: tuple[int, ...], p: float, training: bool, inplace: bool) -> Any:
    """Dropout by a mask of `shape`."""
    _check_probability(name, p)
    if not training or p == 0:
        return input
    is_kept = ops.dropout_with_key(ops.ones(shape, dtype=input.dtype), ops.next_key(), p) > 0
    scale = 0.0 if p == 1 else ((1 - p) * (1 + p * _SELU_FLOOR**2)) ** -0.5
    result = ops.where(is_kept, input, _SELU_FLOOR) * scale - scale * _SELU_FLOOR * p
    return in_place(input, result, inplace)
