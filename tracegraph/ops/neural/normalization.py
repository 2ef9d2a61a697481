"""Normalisation: `standardize` (mean 0, variance 1 over some dimensions) and the layers' ops built on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph.errors import DTypeError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal, type_of
from tracegraph.ops.kinds import Composite
from tracegraph.ops.kinds.batching import along_dims, passed_input
from tracegraph.ops.numerics.scalar import cast_array


def check_floating(op: str, x: Any) -> None:
    """Check the dtype of a handle or type.

    Raises:
        DTypeError: it is not floating.
    """
    if not x.dtype.is_floating:
        raise DTypeError(f"{op}: input {describe(x)} must be floating; convert it with .to(...)")


@define_op
class Standardize(Composite):
    """(x - mean) / sqrt(variance + eps) over the dimensions `dim`; also the mean and the biased variance.

    Mean and variance keep the reduced dimensions with size 1, and come in float32 for 16-bit floats. The variance is
    that of the deviations from the mean (two passes), so a large mean costs no accuracy.
    """

    signature = "(input: Tensor, dim: dims, eps: float = 1e-05)"
    result_names = ("output", "mean", "variance")
    method = False
    samples = samples(
        call(A((3, 5)), (1,)),
        call(A((2, 3, 4, 2)), (0, 2, 3)),
        call(A((2, 3, 4)), (1, 2), eps=0.1),
        call(A((67,), 10, 20), (0,)),
    )
    batched = along_dims

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        check_floating(self.name, x)
        reduced = tuple(1 if i in attrs["dim"] else d for i, d in enumerate(x.shape))
        statistic = TensorType(x.dtype.compute, reduced)
        return x, statistic, statistic

    def eager(self, x: np.ndarray, *, dim: tuple[int, ...], eps: float) -> tuple[np.ndarray, ...]:
        type = type_of(x)
        check_floating(self.name, type)
        output, mean, variance = standardized(cast_array(x, type.dtype.compute), dim, eps)
        return cast_array(output, type.dtype), mean, variance

    def decompose(self, x: Handle, *, dim: tuple[int, ...], eps: float) -> tuple[Handle, Handle, Handle]:
        check_floating(self.name, x)
        values = x.to(x.dtype.compute)
        mean = values.mean(dim, keepdim=True)
        centred = values - mean
        variance = (centred * centred).mean(dim, keepdim=True)
        return (centred * (variance + eps).rsqrt()).to(x.dtype), mean, variance

    def vary(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        return self.expand(operands, attrs)  # whose gradient is the one below

    def vjp(self, g: Any, y: Any, x: Handle, *, dim: tuple[int, ...], eps: float) -> Gradient:
        """With xhat the output and r = rsqrt(variance + eps): r * (g - mean(g) - xhat * mean(g * xhat)).

        The cotangents of mean and variance add g_mean / n and 2 * (x - mean) * g_variance / n.
        """
        output, _, variance = y
        compute = variance.dtype
        count = dims.product(tuple(output.shape[d] for d in dim))
        rstd = (variance + eps).rsqrt()
        xhat = output.to(compute)
        total = None
        if g[0] is not None:
            cotangent = g[0].to(compute)
            projected = xhat * (cotangent * xhat).mean(dim, keepdim=True)
            total = rstd * (cotangent - cotangent.mean(dim, keepdim=True) - projected)
        if g[1] is not None:
            total = _plus(total, (g[1] / count).expand(tuple(output.shape)))
        if g[2] is not None:
            total = _plus(total, xhat * (g[2] * (2 / count) / rstd))
        return total


def standardized(x: np.ndarray, axes: tuple[int, ...], eps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Output, mean and variance of an array of float32 or float64."""
    count = np.asarray(dims.product(tuple(x.shape[d] for d in axes)), x.dtype)
    mean = x.sum(axis=axes, keepdims=True) / count
    centred = x - mean
    variance = np.square(centred).sum(axis=axes, keepdims=True) / count
    centred *= 1 / np.sqrt(variance + np.asarray(eps, x.dtype))
    return centred, mean, variance


def _plus(total: Handle | None, term: Handle) -> Handle:
    return term if total is None else total + term


@define_op
class LayerNorm(Composite):
    """Standardise over the last dimensions, of shape `normalized_shape`, then scale by `weight` and shift by `bias`."""

    signature = (
        "(input: Tensor, normalized_shape: size, weight: OptionalTensor = None, bias: OptionalTensor = None, "
        "eps: float = 1e-05)"
    )
    method = False
    samples = samples(
        call(A((3, 5)), (5,)),
        call(A((2, 3, 5)), (5,), A((5,)), A((5,))),
        call(A((2, 3, 5)), (3, 5), A((3, 5))),
    )
    batched = passed_input

    def eager(self, x: np.ndarray, weight: Any, bias: Any, *, normalized_shape: Any, eps: float) -> np.ndarray:
        type = type_of(x)
        _check_normalized(self.name, type, normalized_shape, weight, bias)
        compute = type.dtype.compute
        axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
        result, _, _ = standardized(cast_array(x, compute), axes, eps)
        if weight is not None:
            result *= cast_array(weight, compute)
        if bias is not None:
            result += cast_array(bias, compute)
        return cast_array(result, type.dtype)

    def decompose(self, x: Handle, weight: Any, bias: Any, *, normalized_shape: Any, eps: float) -> Handle:
        _check_normalized(self.name, x, normalized_shape, weight, bias)
        axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
        result = F.standardize(x.to(x.dtype.compute), axes, eps).output
        return _affine(result, weight, bias).to(x.dtype)


@define_op
class RmsNorm(Composite):
    """x / sqrt(mean(x * x) + eps) over the last dimensions, of shape `normalized_shape`, scaled by `weight`.

    `eps` defaults to the smallest step of the dtype computed in.
    """

    signature = "(input: Tensor, normalized_shape: size, weight: OptionalTensor = None, eps: OptionalFloat = None)"
    method = False
    samples = samples(
        call(A((3, 5)), (5,)),
        call(A((2, 3, 5)), (5,), A((5,)), eps=1e-6),
        call(A((2, 3, 5)), (3, 5), A((3, 5))),
    )

    def decompose(self, x: Handle, weight: Any, *, normalized_shape: Any, eps: float | None) -> Handle:
        _check_normalized(self.name, x, normalized_shape, weight, None)
        axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
        values = x.to(x.dtype.compute)
        step = float(np.finfo(values.dtype.np).eps) if eps is None else eps
        scale = ((values * values).mean(axes, keepdim=True) + step).rsqrt()
        return _affine(values * scale, weight, None).to(x.dtype)


@define_op
class GroupNorm(Composite):
    """Standardise each of `num_groups` groups of channels of [N, C, ...], then scale and shift per channel."""

    signature = (
        "(input: Tensor, num_groups: int, weight: OptionalTensor = None, bias: OptionalTensor = None, "
        "eps: float = 1e-05)"
    )
    method = False
    samples = samples(
        call(A((2, 6, 4)), 3),
        call(A((2, 6, 2, 3)), 2, A((6,)), A((6,))),
        call(A((2, 6)), 2, A((6,)), A((6,))),
    )

    def decompose(self, x: Handle, weight: Any, bias: Any, *, num_groups: int, eps: float) -> Handle:
        if x.ndim < 2:
            raise ShapeError(f"group_norm: input {describe(x)} must be [N, C, ...]")
        n, channels, *rest = x.shape
        if num_groups < 1 or channels % num_groups != 0:
            raise ValueRangeError(
                f"group_norm: num_groups={num_groups} must divide the {channels} channels of input {describe(x)}"
            )
        _check_channels(self.name, x, weight=weight, bias=bias)
        size = dims.product((channels // num_groups, *rest))
        grouped = x.to(x.dtype.compute).reshape((n, num_groups, size))
        result = F.standardize(grouped, (2,), eps).output.reshape(tuple(x.shape))
        return _affine(result, per_channel(weight, x), per_channel(bias, x)).to(x.dtype)


@define_op
class BatchNorm(Composite):
    """Normalise each channel of [N, C, ...] by given statistics, then scale and shift per channel.

    This is the pure part of batch normalisation; `nn.functional.batch_norm` supplies the batch's or the running
    statistics, and keeps the latter.
    """

    name = "batch_norm_with_statistics"
    signature = (
        "(input: Tensor, mean: Tensor, variance: Tensor, weight: OptionalTensor = None, bias: OptionalTensor = None, "
        "eps: float = 1e-05)"
    )
    method = False
    samples = samples(
        call(A((2, 3, 4)), A((3,)), A((3,), 0.5, 2)),
        call(A((2, 3, 2, 2)), A((3,)), A((3,), 0.5, 2), A((3,)), A((3,))),
        call(A((4, 3)), A((3,)), A((3,), 0.5, 2), A((3,)), A((3,))),
    )

    def decompose(self, x: Handle, mean: Handle, variance: Handle, weight: Any, bias: Any, *, eps: float) -> Handle:
        check_floating(self.name, x)
        _check_channels(self.name, x, mean=mean, variance=variance, weight=weight, bias=bias)
        compute = x.dtype.compute
        # one scale and one shift per channel, so that only these are applied elementwise
        scale = (variance.to(compute) + eps).rsqrt()
        if weight is not None:
            scale = scale * weight.to(compute)
        shift = -mean.to(compute) * scale
        if bias is not None:
            shift = shift + bias.to(compute)
        return (x.to(compute) * per_channel(scale, x) + per_channel(shift, x)).to(x.dtype)


def per_channel(parameter: Handle | None, x: Handle) -> Handle | None:
    """A vector per channel in the shape that broadcasts over [N, C, ...]."""
    return None if parameter is None else parameter.reshape((parameter.shape[0], *(1,) * (x.ndim - 2)))


def _affine(x: Handle, weight: Handle | None, bias: Handle | None) -> Handle:
    if weight is not None:
        x = x * weight.to(x.dtype)
    return x if bias is None else x + bias.to(x.dtype)


def _check_normalized(op: str, x: Any, shape: tuple[Any, ...], weight: Any, bias: Any) -> None:
    check_floating(op, x)
    tail = x.shape[len(x.shape) - len(shape) :] if len(shape) <= len(x.shape) else ()
    if not shape or len(tail) != len(shape) or not all(map(equal, tail, shape)):
        raise ShapeError(f"{op}: input {describe(x)} must end in the dimensions normalized_shape={list(shape)}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and not (len(t.shape) == len(shape) and all(map(equal, t.shape, shape))):
            raise ShapeError(f"{op}: {name} of shape {list(t.shape)} must have normalized_shape={list(shape)}")


def _check_channels(op: str, x: Any, **parameters: Any) -> None:
    if len(x.shape) < 2:
        raise ShapeError(f"{op}: input {describe(x)} must be [N, C, ...]")
    for name, t in parameters.items():
        if t is not None and not (len(t.shape) == 1 and equal(t.shape[0], x.shape[1])):
            raise ShapeError(
                f"{op}: {name} {describe(t)} must have shape [{x.shape[1]}], one element per channel of input "
                f"{describe(x)}"
            )
