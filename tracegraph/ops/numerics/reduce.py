"""Numpy's reductions with `keepdims` as a value: its types know literals only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def reduce(function: Callable[..., Any], x: np.ndarray, axes: int | tuple[int, ...] | None, keepdim: bool) -> Any:
    """`function(x, axis=axes, keepdims=keepdim)`."""
    return function(x, axis=axes, keepdims=keepdim)
