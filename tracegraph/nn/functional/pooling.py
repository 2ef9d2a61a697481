"""Pools that are more than one op: by power means, with the positions of maxima, and back."""

from __future__ import annotations

import math
from typing import Any

from tracegraph.errors import ShapeError
from tracegraph.ops import functional as ops

#: errors of the ops speak of the functions
NAMES_ERRORS = True


def _each(value: Any, rank: int) -> tuple[Any, ...]:
    """`3` means (3, 3) of images."""
    return tuple(value) if isinstance(value, tuple | list) else (value,) * rank


# ------------------------------------------------------------------------------------------------ power means


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: int, stride: int | None = None, ceil_mode: bool = False
) -> Any:
    """The p-norm of each window of signals."""
    mean = ops.avg_pool1d(input**norm_type, kernel_size, stride, 0, ceil_mode)
    return _root(mean, kernel_size, norm_type)


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """The p-norm of each window of images."""
    mean = ops.avg_pool2d(input**norm_type, kernel_size, stride, 0, ceil_mode)
    return _root(mean, math.prod(_each(kernel_size, 2)), norm_type)


def lp_pool3d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """The p-norm of each window of volumes."""
    mean = ops.avg_pool3d(input**norm_type, kernel_size, stride, 0, ceil_mode)
    return _root(mean, math.prod(_each(kernel_size, 3)), norm_type)


def _root(mean: Any, count: int, p: float) -> Any:
    total = mean * count
    return (total.sign() * ops.relu(total.abs())) ** (1.0 / p)


# ------------------------------------------------------------------------------------------------ maxima


def max_pool1d(
    input: Any,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum of each window of signals; with `return_indices` also where it was."""
    if not return_indices:
        return ops.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode)
    pairs = ((1, kernel_size), (1, kernel_size if stride is None else stride), (0, padding), (1, dilation))
    values, indices = ops.max_pool2d_with_indices(input.unsqueeze(-2), *pairs, ceil_mode)
    return values.squeeze(-2), indices.squeeze(-2)


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum of each window of images; with `return_indices` also where it was, in the flattened image."""
    op = ops.max_pool2d_with_indices if return_indices else ops.max_pool2d
    return op(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum of each window of volumes; with `return_indices` also where it was, in the flattened volume."""
    if not return_indices:
        return ops.max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode)
    kernel, step, border, gap = (
        _each(value, 3) for value in (kernel_size, kernel_size if stride is None else stride, padding, dilation)
    )
    volumes = input if input.ndim == 5 else input.unsqueeze(0)
    n, channels, depth, height, width = volumes.shape
    # within each plane, then among the planes
    planes = volumes.flatten(1, 2)
    flat, within = ops.max_pool2d_with_indices(planes, kernel[1:], step[1:], border[1:], gap[1:], ceil_mode)
    rows, columns = flat.shape[-2:]
    stacked = flat.reshape((n, channels, depth, rows * columns))
    values, chosen = ops.max_pool2d_with_indices(
        stacked, (kernel[0], 1), (step[0], 1), (border[0], 0), (gap[0], 1), ceil_mode
    )
    place = within.reshape((n, channels, depth * rows * columns)).gather(2, chosen.flatten(2)).reshape(chosen.shape)
    indices = chosen // (rows * columns) * (height * width) + place
    shape = (n, channels, values.shape[2], rows, columns)
    results = values.reshape(shape), indices.reshape(shape)
    return results if input.ndim == 5 else tuple(r.squeeze(0) for r in results)


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Zeros [N, C, L] or [C, L] with the elements of `input` where `indices` say, those of `max_pool1d`."""
    return _unpooled("max_unpool1d", input, indices, (kernel_size, stride, padding), output_size, 1)


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Zeros [N, C, H, W] or [C, H, W] with the elements of `input` where `indices` say, those of `max_pool2d`."""
    return _unpooled("max_unpool2d", input, indices, (kernel_size, stride, padding), output_size, 2)


def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Zeros [N, C, D, H, W] or [C, D, H, W] with the elements of `input` where `indices` say, those of `max_pool3d`."""
    return _unpooled("max_unpool3d", input, indices, (kernel_size, stride, padding), output_size, 3)


def _unpooled(name: str, input: Any, indices: Any, windows: tuple[Any, Any, Any], size: Any, rank: int) -> Any:
    if tuple(input.shape) != tuple(indices.shape):
        raise ShapeError(f"{name}: input {list(input.shape)} and indices {list(indices.shape)} must have one shape")
    if input.ndim not in (rank + 1, rank + 2):
        raise ShapeError(
            f"{name}: an input of shape {list(input.shape)} must have {rank + 2} dimensions, or {rank + 1}"
        )
    kernel, stride, padding = windows
    steps = _each(kernel if stride is None else stride, rank)
    sizes = zip(input.shape[-rank:], _each(kernel, rank), steps, _each(padding, rank), strict=True)
    least = [(count - 1) * step - 2 * border + width for count, width, step, border in sizes]
    wanted = least if size is None else list(size)[-rank:]
    if len(wanted) != rank or any(abs(w - n) >= step for w, n, step in zip(wanted, least, steps, strict=True)):
        raise ShapeError(f"{name}: output_size={size} must be {least} but for less than the stride {list(steps)}")
    outer = tuple(input.shape[:-rank])
    zeros = ops.zeros((*outer, math.prod(wanted)), dtype=input.dtype)
    return zeros.scatter(-1, indices.flatten(-rank), input.flatten(-rank)).reshape((*outer, *wanted))
