"""Masks: where elements are nonzero, which to take, and the masks of triangles and classes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import DataDependentError, DTypeError, ElementError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe
from tracegraph.ops.kinds import Derived, DerivedCreation, Element, Library
from tracegraph.ops.kinds.batching import passed

_I64, _BOOL = dtypes.int64, dtypes.bool_


@define_op
class Nonzero(Library):
    """The indices of all nonzero elements, in row-major order, one a row; with `as_tuple`, a vector per dimension.

    Raises:
        DataDependentError: while tracing; the number of rows depends on the elements.
    """

    samples = samples()  # no static result type: tests of its own

    def __call__(self, *args: Any, as_tuple: bool = False, **kwargs: Any) -> Any:
        if not as_tuple:
            return super().__call__(*args, **kwargs)
        x = args[0] if args else kwargs["input"]
        return super().__call__(x if x.ndim else F.unsqueeze(x, 0)).unbind(1)

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        raise DataDependentError(f"nonzero({x}): the size of its result")

    def eager(self, x: np.ndarray) -> np.ndarray:
        if not x.ndim:
            return np.zeros((int(x != 0), 0), np.int64)
        return np.stack(np.nonzero(x), axis=1).astype(np.int64, copy=False)


@define_op
class Argwhere(Derived):
    """The indices of all nonzero elements, one a row; `nonzero` under numpy's name."""

    samples = samples()

    def decompose(self, x: Handle) -> Handle:
        return F.nonzero(x)


@define_op
class MaskedSelect(Library):
    """The elements where `mask` is true, both broadcast against each other, as a vector.

    Raises:
        DTypeError: `mask` is not bool.
        DataDependentError: while tracing; the number of elements depends on the mask.
    """

    signature = "(input: Tensor, mask: Tensor)"
    samples = samples()
    shape_only = ("x",)

    def infer(self, x: TensorType, mask: TensorType) -> tuple[TensorType, ...]:
        raise DataDependentError(f"masked_select({x}, {mask}): the size of its result")

    def eager(self, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if mask.dtype != np.bool_:
            raise DTypeError(f"masked_select: mask must be bool, got {mask.dtype}")
        broadcast_shapes(x.shape, mask.shape, op=self.name)  # names the op where the shapes do not fit
        values, chosen = np.broadcast_arrays(x, mask)
        return values[chosen]

    def vjp(self, g: Handle, y: Handle, x: Handle, mask: Handle) -> Gradient:
        zeros = (g.new_zeros(tuple(x.shape)) + mask.to(g.dtype)) * 0  # of the shape the two broadcast to
        return F.masked_scatter(zeros, mask, g).sum_to_size(tuple(x.shape)), None


@define_op
class MaskedScatter(Derived):
    """`input` with the elements of `source` in order, as many as are needed, where `mask` is true.

    Raises:
        IndexRangeError: `source` has too few elements.
    """

    inplace = True
    signature = "(input: Tensor, mask: Tensor, source: Tensor)"
    samples = samples(
        call(A((3, 4)), A((3, 4), dtype=_BOOL), A((12,)), dtypes=dtypes.ALL),
        call(A((3, 4)), A((4,), dtype=_BOOL), A((3, 5))),
    )

    def decompose(self, x: Handle, mask: Handle, source: Handle) -> Handle:
        if not mask.dtype.is_bool:
            raise DTypeError(f"masked_scatter: mask must be bool, got {describe(mask)}")
        wide = F.expand(mask, tuple(x.shape))
        rank = F.cumsum(wide.reshape(-1).to(_I64), 0) - 1
        # where the mask is false no element is taken: any position will do
        place = F.where(wide.reshape(-1), rank, 0).reshape(x.shape)
        if source.numel() == 0:
            source = F.zeros((1,), dtype=source.dtype)
        return F.where(wide, F.take(source, place), x)


class Triangle(Element):
    """Elements on one side of a diagonal; the others are 0."""

    inplace = True
    signature = "(input: Tensor, diagonal: int = 0)"
    samples = samples(
        call(A((4, 5)), dtypes=dtypes.ALL), call(A((2, 5, 4)), 1), call(A((3, 3)), -1), call(A((3, 3)), 7)
    )
    upper: ClassVar[bool]
    batched = passed

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if operands[0].ndim < 2:
            raise ShapeError(f"{self.name}: needs at least 2 dimensions, got shape {list(operands[0].shape)}")
        return operands, attrs

    def infer(self, x: TensorType, *, diagonal: int) -> tuple[TensorType, ...]:
        return (x,)

    def eager(self, x: np.ndarray, *, diagonal: int) -> np.ndarray:
        return np.triu(x, diagonal) if self.upper else np.tril(x, diagonal)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        (x,) = types
        assert isinstance(x, TensorType)
        bound, column = k.index_scalar(index[-2] + attrs["diagonal"]), k.index_scalar(index[-1])
        kept = column >= bound if self.upper else column <= bound
        return load(0, index, mask=kept, fill=0)


@define_op
class Tril(Triangle):
    """The elements on and below a diagonal (`diagonal` places above the main one), zeros elsewhere."""

    upper = False

    def vjp(self, g: Handle, y: Handle, x: Handle, *, diagonal: int) -> Gradient:
        return F.tril(g, diagonal)


@define_op
class Triu(Triangle):
    """The elements on and above a diagonal (`diagonal` places above the main one), zeros elsewhere."""

    upper = True

    def vjp(self, g: Handle, y: Handle, x: Handle, *, diagonal: int) -> Gradient:
        return F.triu(g, diagonal)


class TriangleIndices(DerivedCreation):
    """The row and column indices of a triangle of a matrix of `row` times `col`, as a tensor of two rows."""

    signature = "(row: int, col: int, offset: int = 0, *, dtype: OptionalDtype = None)"
    samples = samples(call(3, 4), call(4, 3, -1), call(3, 3, 1, dtype=dtypes.int32), call(2, 5, 9), call(0, 3))
    upper: ClassVar[bool]

    def decompose(self, *, row: Dim, col: Dim, offset: Dim, dtype: dtypes.DType | None) -> Handle:
        if dims.is_below(row, 0) or dims.is_below(col, 0):
            raise ValueRangeError(f"{self.name}: row={row} and col={col} must not be negative")
        # of every row: the first column on or above the diagonal; below it, how many are to the left
        edge = (F.arange(row) + (offset if self.upper else offset + 1)).clamp(0, col)
        total = _elements_above(row, col, offset) if self.upper else row * col - _elements_above(row, col, offset + 1)
        counts = col - edge if self.upper else edge
        ends, places = counts.cumsum(0), F.arange(total)
        rows = F.searchsorted(ends, places, right=True)
        columns = places - (ends - counts).index_select(0, rows)
        if self.upper:
            columns = columns + edge.index_select(0, rows)
        return F.stack([rows, columns]).to(dtype or _I64)


def _elements_above(row: Dim, col: Dim, offset: Dim) -> Dim:
    """How many elements of a matrix lie on and above a diagonal: whole rows, then rows of one element less each."""
    whole = min(row, max(-offset, 0))
    shrinking = max(min(row, col - offset) - whole, 0)
    longest = col - whole - offset
    return whole * col + shrinking * longest - shrinking * (shrinking - 1) // 2


@define_op
class TrilIndices(TriangleIndices):
    """The row and column indices of the elements on and below a diagonal."""

    upper = False


@define_op
class TriuIndices(TriangleIndices):
    """The row and column indices of the elements on and above a diagonal."""

    upper = True


@define_op
class OneHotOf(Element):
    """One-hot vectors of the classes `input` holds, in a new last dimension of size `num_classes`.

    Raises:
        ElementError: a class is negative or not below `num_classes`.
        DTypeError: `input` is not int64.
    """

    title = "one_hot"
    checks_elements = True
    method = False
    signature = "(input: Tensor, num_classes: int)"
    samples = samples(
        call(A((3, 4), 0, 4, dtype=_I64), 5, differentiable=False),
        call(A((), 0, 1, dtype=_I64), 2, differentiable=False),
    )
    batched = passed

    def infer(self, x: TensorType, *, num_classes: Dim) -> tuple[TensorType, ...]:
        if x.dtype is not _I64:
            raise DTypeError(f"one_hot: classes must be int64, got {x}; convert them with .long()")
        return (x.with_shape((*x.shape, num_classes)),)

    def eager(self, x: np.ndarray, *, num_classes: int) -> np.ndarray:
        self.infer(TensorType(dtypes.from_numpy(x.dtype), x.shape), num_classes=num_classes)
        if x.size and (x.min() < 0 or x.max() >= num_classes):
            raise ElementError(_one_hot_range(num_classes))
        return (x[..., None] == np.arange(num_classes)).astype(np.int64)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        found = load(0, index[:-1])
        count = k.index_scalar(attrs["num_classes"])
        k.check((found >= 0) & (found < count), _one_hot_range(attrs["num_classes"]))
        return k.cast(found == k.index_scalar(index[-1]), _I64)


def _one_hot_range(num_classes: Dim) -> str:
    return f"one_hot: class values must not be negative, and smaller than num_classes ({num_classes})"


@define_op
class OneHot(Derived):
    """One-hot vectors of the classes `tensor` holds, in a new last dimension; -1 counts the classes.

    Raises:
        ElementError: a class is negative or not below `num_classes`.
        DTypeError: `tensor` is not int64.
        DataDependentError: `num_classes` is -1 while tracing.
    """

    method = False
    signature = "(tensor: Tensor, num_classes: int = -1)"
    samples = samples(call(A((3, 4), 0, 4, dtype=_I64), 5, differentiable=False))

    def decompose(self, x: Handle, *, num_classes: Dim) -> Handle:
        num_classes = dims.settled(num_classes)
        if isinstance(num_classes, int) and num_classes == -1:
            num_classes = int(x.max().item()) + 1
        elif dims.is_below(num_classes, 1):
            raise ElementError(_one_hot_range(num_classes))
        return F.one_hot_of(x, num_classes)
