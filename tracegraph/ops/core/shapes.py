"""Comparing and describing the shapes of operands, whatever their form: TensorType, handle or numpy array."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim


def type_of(array: np.ndarray) -> TensorType:
    """The type of an array."""
    return TensorType(dtypes.from_numpy(array.dtype), array.shape)


def equal(a: Dim, b: Dim) -> bool:
    """Whether two sizes are equal; guards only if they are not the same expression."""
    return dims.same(a, b) or a == b


def equal_shapes(a: tuple[Dim, ...], b: tuple[Dim, ...]) -> bool:
    """Whether two shapes are equal; guards only for sizes that are not the same expression."""
    return len(a) == len(b) and all(map(equal, a, b))


def describe(t: Any) -> str:
    """`f32[8, 32]` of a handle or type."""
    return f"{t.dtype.name}[{', '.join(map(str, t.shape))}]"
