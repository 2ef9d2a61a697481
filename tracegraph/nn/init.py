"""Initial values of parameters (`torch.nn.init`): each function fills a tensor in place and returns it."""

from __future__ import annotations

import math
from typing import Any

from tracegraph.autograd import no_grad
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ops import functional as ops
from tracegraph.ops.random.generator import Generator
from tracegraph.tensor import Tensor

_LINEAR = ("linear", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "sigmoid")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a layer's initial weights should grow to make up for `nonlinearity`.

    Raises:
        ValueRangeError: an unknown nonlinearity.
    """
    gains = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 0.75}
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in gains:
        known = ", ".join([*_LINEAR, *gains, "leaky_relu"])
        raise ValueRangeError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; one of {known}")
    return gains[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """Inputs and outputs of one unit of a weight [out, in, *kernel].

    Raises:
        ShapeError: fewer than two dimensions.
    """
    if tensor.ndim < 2:
        raise ShapeError(f"fan in and fan out need a weight of 2 or more dimensions, this one has {list(tensor.shape)}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fill(tensor: Tensor, values: Tensor) -> Tensor:
    with no_grad():
        tensor.copy_(values)
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform on [a, b)."""
    drawn = ops.rand(tuple(tensor.shape), dtype=tensor.dtype, generator=generator)
    return _fill(tensor, drawn * (b - a) + a)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with the given mean and standard deviation."""
    drawn = ops.randn(tuple(tensor.shape), dtype=tensor.dtype, generator=generator)
    return _fill(tensor, drawn * std + mean)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, restricted to [a, b] by inverting the distribution function."""
    low, high = (0.5 * (1 + math.erf((x - mean) / (std * math.sqrt(2)))) for x in (a, b))
    drawn = ops.rand(tuple(tensor.shape), dtype="float64", generator=generator) * (high - low) + low
    values = (2 * drawn - 1).erfinv() * (std * math.sqrt(2)) + mean
    return _fill(tensor, values.clamp(a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """The value everywhere."""
    return _fill(tensor, ops.full_like(tensor, val))


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: the tensor must have 2 dimensions, it has shape {list(tensor.shape)}")
    return _fill(tensor, ops.eye(tensor.shape[0], tensor.shape[1], dtype=tensor.dtype))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution that keeps as many of the channels as it can, in each of `groups` groups.

    Raises:
        ShapeError: the tensor has not 3 to 5 dimensions, or its first one does not fall into `groups` parts.
    """
    shape = tuple(tensor.shape)
    if len(shape) not in (3, 4, 5) or shape[0] % groups != 0:
        raise ShapeError(
            f"dirac_: the tensor must have 3 to 5 dimensions, the first a multiple of groups={groups}; it has shape "
            f"{list(shape)}"
        )
    outputs = shape[0] // groups
    filled = ops.zeros(shape, dtype=tensor.dtype)
    centre = tuple(size // 2 for size in shape[2:])
    for group in range(groups):
        for channel in range(min(outputs, shape[1])):
            filled[(group * outputs + channel, channel, *centre)] = 1
    return _fill(tensor, filled)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform with variance gain^2 * 2 / (fan in + fan out) (Glorot & Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with variance gain^2 * 2 / (fan in + fan out) (Glorot & Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueRangeError(f"mode={mode!r} must be 'fan_in' or 'fan_out'")
    fan_in, fan_out = fans(tensor)
    fan = fan_in if mode == "fan_in" else fan_out
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0  # without inputs, whatever there is to fill


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with variance gain^2 / fan (He et al., 2015); `a` is the slope of leaky_relu."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with variance gain^2 / fan (He et al., 2015); `a` is the slope of leaky_relu."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """A matrix (further dimensions flattened) with orthonormal rows or columns (Saxe et al., 2013)."""
    import numpy as np

    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: the tensor needs 2 or more dimensions, it has shape {list(tensor.shape)}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    drawn: Any = ops.randn((max(rows, columns), min(rows, columns)), dtype="float64", generator=generator).numpy()
    q, r = np.linalg.qr(drawn)
    q = q * np.sign(np.diagonal(r))
    matrix = np.ascontiguousarray(q if rows >= columns else q.T)
    return _fill(tensor, Tensor(matrix.reshape(tensor.shape)) * gain)


def linear_default_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's default of linear and convolution layers: uniform on +-1 / sqrt(fan in), weight and bias alike."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = fans(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
        uniform_(bias, -bound, bound)
