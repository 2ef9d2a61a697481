"""Normalisation that keeps running statistics."""

from __future__ import annotations

from typing import Any

from tracegraph.autograd import no_grad
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ops import functional as ops

#: errors of the ops speak of the functions
NAMES_ERRORS = True


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of [N, C, ...], scale by `weight`, shift by `bias`.

    In training by the statistics of the batch, which also move the running ones by `momentum`; else by the running
    ones.

    Raises:
        ShapeError: an input without channels, or training with a single value per channel.
        ValueRangeError: evaluation without running statistics.
    """
    if not training:
        if running_mean is None or running_var is None:
            raise ValueRangeError("batch_norm: evaluation needs running_mean and running_var; pass training=True")
        return ops.batch_norm_with_statistics(input, running_mean, running_var, weight, bias, eps)
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: an input of shape {list(input.shape)} must be [N, C, ...]")
    axes = (0, *range(2, input.ndim))
    count = 1
    for axis in axes:
        count = count * input.shape[axis]
    if count == 1:
        raise ShapeError(
            f"batch_norm: an input of shape {list(input.shape)} has one value per channel, which has no variance; "
            "train with larger batches or call eval()"
        )
    output, mean, variance = ops.standardize(input.to(input.dtype.compute), axes, eps)
    if running_mean is not None and running_var is not None:
        _track(running_mean, mean, momentum)
        _track(running_var, variance * (count / (count - 1)), momentum)
    return _affine(output, _per_channel(weight, input), _per_channel(bias, input)).to(input.dtype)


def _track(running: Any, current: Any, momentum: float) -> None:
    """Move a running statistic towards the current one, in place and without history."""
    with no_grad():
        moved = running * (1 - momentum) + current.reshape(tuple(running.shape)).detach() * momentum
        running.copy_(moved)


def _per_channel(parameter: Any, x: Any) -> Any:
    """A vector per channel in the shape that broadcasts over [N, C, ...]."""
    return None if parameter is None else parameter.reshape((parameter.shape[0], *(1,) * (x.ndim - 2)))


def _affine(x: Any, weight: Any, bias: Any) -> Any:
    if weight is not None:
        x = x * weight.to(x.dtype)
    return x if bias is None else x + bias.to(x.dtype)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of each example of [N, C, ...] on its own, scale by `weight`, shift by `bias`.

    Raises:
        ShapeError: an input without dimensions after the channels.
        ValueRangeError: `use_input_stats=False` without running statistics.
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if input.ndim < 3:
        raise ShapeError(f"instance_norm: an input of shape {list(input.shape)} must be [N, C, ...]")
    axes = tuple(range(2, input.ndim))
    output, mean, variance = ops.standardize(input.to(input.dtype.compute), axes, eps)
    if running_mean is not None and running_var is not None:
        count = 1
        for axis in axes:
            count = count * input.shape[axis]
        _track(running_mean, mean.mean(0), momentum)
        _track(running_var, variance.mean(0) * (count / (count - 1)), momentum)
    return _affine(output, _per_channel(weight, input), _per_channel(bias, input)).to(input.dtype)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Divide by the norm along `dim`, which counts as at least `eps`."""
    return input / ops.vector_norm(input, p, dim, True).clamp(min=eps)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Divide by (k + alpha * the mean square over `size` neighbouring channels) ** beta (Krizhevsky et al. 2012).

    Raises:
        ShapeError: an input without dimensions after the channels.
    """
    if input.ndim < 3:
        raise ShapeError(f"local_response_norm: an input of shape {list(input.shape)} must be [N, C, ...]")
    square = ops.pad((input * input).movedim(1, -1), (size // 2, (size - 1) // 2))
    mean = square.unfold(-1, size, 1).mean(-1).movedim(-1, 1)
    return input / (mean * alpha + k) ** beta
