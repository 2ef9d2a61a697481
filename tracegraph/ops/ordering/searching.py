"""Finding values: positions in sorted sequences, membership, counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, DataDependentError, DTypeError, ElementError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.promotion import result_type
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal, type_of
from tracegraph.ops.kinds import Derived, Library
from tracegraph.ops.numerics.scalar import cast_array


@define_op
class SortedPositions(Library):
    """Where each of `values` belongs in the ascending sequences along the last dimension of `sequences`: int64.

    Before equal elements, or behind them if `right`. A sequence of one dimension serves all values.
    """

    title = "searchsorted"
    method = False
    signature = "(sequences: Tensor, values: Tensor, right: bool = False)"
    samples = samples(
        call(A((5,)), A((2, 3)), differentiable=False),  # whatever the order, all executions agree
        call(A((2, 5)), A((2, 3)), True, differentiable=False),
        call(A((0,)), A(()), differentiable=False),
    )

    def infer(self, *operands: Any, right: bool) -> tuple[TensorType, ...]:
        sequences, values = operands
        outer, rows = sequences.shape[:-1], values.shape[:-1]
        if not sequences.ndim or (outer and not (len(outer) == len(rows) and all(map(equal, outer, rows)))):
            raise ShapeError(
                f"searchsorted: sequences {describe(sequences)} must be a vector, or have the shape of the values "
                f"{describe(values)} but for the last dimension"
            )
        return (TensorType(dtypes.int64, values.shape),)

    def eager(self, sequences: np.ndarray, values: np.ndarray, right: bool) -> np.ndarray:
        self.infer(type_of(sequences), type_of(values), right=right)
        common = result_type(type_of(sequences), type_of(values)).compute
        sequences, values = cast_array(sequences, common), cast_array(values, common)
        side: Any = "right" if right else "left"
        if sequences.ndim == 1:
            return np.asarray(np.searchsorted(sequences, values, side)).astype(np.int64)
        found = np.empty(values.shape, np.int64)
        for row in np.ndindex(values.shape[:-1]):
            found[row] = np.searchsorted(sequences[row], values[row], side)
        return found


@define_op
class Searchsorted(Derived):
    """Where each of `input` (a tensor or a number) belongs in a sorted sequence: int64, or int32 if `out_int32`.

    Before equal elements, or behind them with `right` or `side="right"`. `sorter` gives the order that sorts the
    sequence.

    Raises:
        ShapeError: the sequences have other outer dimensions than the values.
        ArgumentError: `side` is neither "left" nor "right", or contradicts `right`.
    """

    method = False
    signature = (
        "(sorted_sequence: Tensor, input: Number, *, out_int32: bool = False, right: bool = False, "
        "side: OptionalStr = None, sorter: OptionalTensor = None)"
    )
    samples = samples(
        call(A((5,)), A((2, 3)), differentiable=False),
        call(A((5,)), 0.5, right=True, out_int32=True, differentiable=False),
    )

    def decompose(
        self, sequence: Handle, values: Any, sorter: Handle | None, *, out_int32: bool, right: bool, side: str | None
    ) -> Handle:
        if side not in (None, "left", "right") or (side == "left" and right):
            raise ArgumentError(f"searchsorted: side={side!r} must be 'left' or 'right', and agree with right={right}")
        if sorter is not None:
            sequence = F.take_along_dim(sequence, sorter, -1)
        if not is_tensor(values):
            values = F.full((), values, dtype=result_type(TensorType(sequence.dtype, (1,)), values))
        found = F.sorted_positions(sequence, values, right or side == "right")
        return found.to(dtypes.int32) if out_int32 else found


@define_op
class Bucketize(Derived):
    """The number of the bucket each of `input` falls into, between ascending `boundaries`, of which `right` says
    whether they belong to the bucket below (False) or above (True).
    """

    method = False
    signature = "(input: Number, boundaries: Tensor, *, out_int32: bool = False, right: bool = False)"
    samples = samples(call(A((2, 3)), A((4,)), differentiable=False))

    def decompose(self, x: Any, boundaries: Handle, *, out_int32: bool, right: bool) -> Handle:
        if boundaries.ndim != 1:
            raise ShapeError(f"bucketize: boundaries {describe(boundaries)} must be a vector")
        return F.searchsorted(boundaries, x, out_int32=out_int32, right=right)


@define_op
class Isin(Derived):
    """Whether each of `elements` is among `test_elements`, or is not if `invert`."""

    method = False
    signature = "(elements: Number, test_elements: Number, *, assume_unique: bool = False, invert: bool = False)"
    samples = samples(
        call(A((3, 4), -2, 2, dtype=dtypes.int64), A((2, 2), -2, 2, dtype=dtypes.int64), differentiable=False),
        call(A((3,)), 1, invert=True, differentiable=False),
    )

    def decompose(self, x: Any, test: Any, *, assume_unique: bool, invert: bool) -> Handle:
        if not is_tensor(x) and not is_tensor(test):
            raise ArgumentError("isin: elements or test_elements must be a tensor")
        x = x if is_tensor(x) else F.full((), x)
        found = (x.unsqueeze(-1) == test.reshape(-1)).any(-1) if is_tensor(test) else x == test
        return found.logical_not() if invert else found


@define_op
class Bincount(Library):
    """How often each integer from 0 on occurs in a vector, or the sums of `weights` of its occurrences.

    As many counts as the largest integer needs, at least `minlength`.

    Raises:
        DataDependentError: while tracing; the number of counts depends on the elements.
        DTypeError, ShapeError: the input is no vector of integers.
        ElementError: an integer is negative.
    """

    signature = "(input: Tensor, weights: OptionalTensor = None, minlength: int = 0)"
    samples = samples()  # no static result type: tests of its own

    def infer(self, x: TensorType, *_: Any, **attrs: Any) -> tuple[TensorType, ...]:
        raise DataDependentError(f"bincount({x}): the size of its result")

    def eager(self, x: np.ndarray, weights: np.ndarray | None, minlength: int) -> np.ndarray:
        if x.ndim != 1 or (weights is not None and weights.shape != x.shape):
            raise ShapeError(f"bincount: input and weights must be vectors of one length, got shape {list(x.shape)}")
        if x.dtype.kind not in "iu":
            raise DTypeError(f"bincount: input must hold integers, got {dtypes.from_numpy(x.dtype).long_name}")
        if minlength < 0:
            raise ValueRangeError(f"bincount: minlength={minlength} must not be negative")
        if x.size and x.min() < 0:
            raise ElementError("bincount: input must not hold negative integers")
        counts = np.bincount(x, None if weights is None else cast_array(weights, dtypes.float64), minlength)
        if weights is not None and weights.dtype == np.float32:
            return counts.astype(np.float32)
        return counts


@define_op
class Histc(Derived):
    """Counts of the elements in `bins` equal intervals from `min` to `max`; both 0 mean the elements' own extremes.

    Elements outside are not counted; the result has the input's dtype, and is nan if an extreme is not finite.
    """

    signature = "(input: Tensor, bins: int = 100, min: float = 0.0, max: float = 0.0)"
    samples = samples(
        call(A((20,)), 4, -1, 1, differentiable=False),
        call(A((3, 5)), 5, differentiable=False, dtypes=(dtypes.float32, dtypes.float64)),
    )

    def decompose(self, x: Handle, *, bins: int, min: float, max: float) -> Handle:
        if not x.dtype.is_floating:
            raise DTypeError(f"histc: only defined for floating dtypes, got {describe(x)}; convert the input")
        if bins < 1 or min > max:
            raise ValueRangeError(f"histc: bins={bins} must be positive, and min={min} not above max={max}")
        flat = x.detach().reshape(-1).to(x.dtype.compute)
        if min == max == 0 and flat.shape[0] != 0:
            low, high = flat.min(), flat.max()
            is_same, is_finite = low == high, (high - low).isfinite()
            low, high = F.where(is_same, low - 1, low), F.where(is_same, high + 1, high)
            return F.where(is_finite, self._counts(flat, bins, low, high), float("nan")).to(x.dtype)
        low, high = (min - 1, max + 1) if min == max else (min, max)
        return self._counts(flat, bins, low, high).to(x.dtype)

    def _counts(self, flat: Handle, bins: int, low: Any, high: Any) -> Handle:
        inside = (flat >= low) & (flat <= high)
        place = F.where(inside, (flat - low) / (high - low) * bins, 0).nan_to_num().to(dtypes.int64)
        counts = F.zeros((bins,), dtype=flat.dtype)
        return counts.scatter_add(0, place.clamp(max=bins - 1), inside.to(flat.dtype))
