"""Activations that may work in place, and gated ones."""

from __future__ import annotations

from typing import Any

from tracegraph.errors import ShapeError
from tracegraph.ops import functional as ops

#: errors of the ops speak of the functions
NAMES_ERRORS = True


def in_place(input: Any, result: Any, inplace: bool) -> Any:
    """The result, or `input` with the result written into it."""
    if not inplace:
        return result
    input.copy_(result)
    return input


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0)."""
    return in_place(input, ops.relu(input), inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return in_place(input, ops.relu6(input), inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where positive, negative_slope * x elsewhere."""
    return in_place(input, ops.leaky_relu(input, negative_slope), inplace)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where positive, alpha * (exp(x) - 1) elsewhere."""
    return in_place(input, ops.elu(input, alpha), inplace)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where positive, alpha * (exp(x / alpha) - 1) elsewhere."""
    return in_place(input, ops.celu(input, alpha), inplace)


def selu(input: Any, inplace: bool = False) -> Any:
    """The scaled elu that keeps mean 0 and variance 1."""
    return in_place(input, ops.selu(input), inplace)


def silu(input: Any, inplace: bool = False) -> Any:
    """x * sigmoid(x)."""
    return in_place(input, ops.silu(input), inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """x * tanh(softplus(x))."""
    return in_place(input, ops.mish(input), inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x restricted to [min_val, max_val]."""
    return in_place(input, ops.hardtanh(input, min_val, max_val), inplace)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """min(max(x + 3, 0), 6) / 6."""
    return in_place(input, ops.hardsigmoid(input), inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x * hardsigmoid(x)."""
    return in_place(input, ops.hardswish(input), inplace)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where above the threshold, `value` elsewhere."""
    return in_place(input, ops.threshold(input, threshold, value), inplace)


def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along `dim`; PyTorch's deprecated implicit dimension is not supported."""
    return ops.softmax(input, dim, dtype)


def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """log(softmax(x)) along `dim`."""
    return ops.log_softmax(input, dim, dtype)


def glu(input: Any, dim: int = -1) -> Any:
    """First half times sigmoid of the second half along `dim`."""
    size = input.shape[dim]
    if size % 2:
        raise ShapeError(f"glu: dimension {dim} of an input of shape {list(input.shape)} must have an even size")
    value, gate = input.split(size // 2, dim)
    return value * gate.sigmoid()


def rrelu(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Any:
    """x where positive; elsewhere x times a slope, drawn from [lower, upper] in training, their mean otherwise."""
    slope = ops.rand_like(input) * (upper - lower) + lower if training else (lower + upper) / 2
    return in_place(input, ops.where(input >= 0, input, input * slope), inplace)
