"""Pools by power means."""

from __future__ import annotations

from typing import Any

from tracegraph.ops import functional as ops


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: int, stride: int | None = None, ceil_mode: bool = False
) -> Any:
    """The p-norm of each window of signals."""
    mean = ops.avg_pool1d(input**norm_type, kernel_size, stride, 0, ceil_mode)
    return _root(mean, kernel_size, norm_type)


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """The p-norm of each window of images."""
    height, width = kernel_size if isinstance(kernel_size, tuple | list) else (kernel_size, kernel_size)
    mean = ops.avg_pool2d(input**norm_type, (height, width), stride, 0, ceil_mode)
    return _root(mean, height * width, norm_type)


def _root(mean: Any, count: int, p: float) -> Any:
    total = mean * count
    return (total.sign() * ops.relu(total.abs())) ** (1.0 / p)
