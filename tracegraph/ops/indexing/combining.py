"""Writing and combining elements at computed positions, on numpy arrays: the eager side of every scatter."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph.errors import IndexRangeError
from tracegraph.ops.numerics.scalar import cast_array

#: numpy's function of each way `ir.rules.Scatter` combines an update with what is there
COMBINATIONS: dict[str, np.ufunc] = {
    "add": np.add,
    "mul": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}

# below this many elements per position, numpy's own `ufunc.at` beats sorting the positions
_ROW = 8


def in_range(op: str, index: np.ndarray, size: int, dim: int, wrap: bool = True) -> np.ndarray:
    """`index` as int64 positions along a dimension of `size`; negative ones count from the end if `wrap`.

    Raises:
        IndexRangeError: one is out of range; names it, the dimension and the size.
    """
    index = index.astype(np.int64, copy=False)
    if not index.size:
        return index
    low, high = index.min(), index.max()
    if high >= size or low < (-size if wrap else 0):
        raise IndexRangeError(out_of_bounds(op, dim, size, high if high >= size else low))
    return np.where(index < 0, index + size, index) if low < 0 else index


def out_of_bounds(op: str, dim: int, size: Any, index: Any = None) -> str:
    """The message of an index error; compiled code does not know which `index` it was."""
    which = "an index" if index is None else f"index {index}"
    return f"{op}: {which} is out of bounds for dimension {dim} with size {size}"


def combine_rows(base: np.ndarray, positions: np.ndarray, rows: np.ndarray, combine: str) -> None:
    """For every i: `base[positions[i]] = combine(base[positions[i]], rows[i])`, in place and in order.

    Args:
        base: (P, R) or (P,), C-contiguous.
        positions: (N,), in [0, P).
        rows: (N, R) or (N,), of the base's dtype.
        combine: "set" (the last one stays) or a key of COMBINATIONS.
    """
    if combine == "set":
        base[positions] = rows
        return
    function = np.logical_or if base.dtype == np.bool_ and combine == "add" else COMBINATIONS[combine]
    if base.ndim == 1 or base.shape[1] < _ROW or not len(positions):
        function.at(base, positions, rows)
        return
    order = np.argsort(positions, kind="stable")
    ordered = positions[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    touched = ordered[starts]
    base[touched] = function(base[touched], function.reduceat(rows[order], starts, axis=0, dtype=base.dtype))


def combined(base: np.ndarray, positions: np.ndarray, rows: np.ndarray, combine: str) -> np.ndarray:
    """A copy of `base` with `rows` combined in as `combine_rows` does; 16-bit floats accumulate in float32."""
    from tracegraph.dtypes import from_numpy

    dtype = from_numpy(base.dtype)
    working = cast_array(base, dtype.compute) if combine != "set" else base
    result = working.copy() if working is base else working
    combine_rows(result, positions, cast_array(rows, from_numpy(result.dtype)), combine)
    return cast_array(result, dtype)
