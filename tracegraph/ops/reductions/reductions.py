"""Sums, products, means, logic and counts over dimensions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError, ShapeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.kinds import Composite, Derived, Reduction
from tracegraph.ops.kinds.batching import Batch
from tracegraph.ops.kinds.reduction import reduced_axes
from tracegraph.ops.numerics.reduce import reduce
from tracegraph.ops.numerics.scalar import cast_array


def reduction_samples(**options: Any) -> Any:
    """One dim, several, all, negative, kept, 0-d, and nothing to reduce."""
    return samples(
        call(A((3, 5)), **options),
        call(A((3, 5)), 1, **options),
        call(A((2, 3, 4)), (0, 2), keepdim=True, **options),
        call(A((67,)), -1, **options),
        call(A((4, 1)), 0, True, **options),
        call(A(()), **options),
        call(A((0, 4)), 0, **options),
        call(A((0, 4)), 1, **options),
    )


def spread(reduced: Handle, x: Handle, dim: Any, keepdim: bool) -> Handle:
    """A result of a reduction of `x`, shaped to broadcast against `x` again."""
    if keepdim or dim is None:
        return reduced
    for axis in sorted((dim,) if isinstance(dim, int) else dim):
        if x.ndim:
            reduced = reduced.unsqueeze(axis)
    return reduced


def reduced_count(x: Handle, dim: Any) -> Dim:
    """How many elements of `x` go into one result."""
    return dims.product(tuple(x.shape[a] for a in reduced_axes(x, {"dim": dim})))


def count_scalar(k: Any, count: Dim, dtype: DType) -> Scalar:
    """A number of elements, perhaps symbolic, as a scalar."""
    return k.const(count, dtype) if isinstance(count, int) else k.cast(k.index_scalar(count), dtype)


class Accumulation(Reduction):
    """Base of reductions that take the dtype to accumulate in and return; integers default to int64."""

    signature = "(input: Tensor, dim: dims = None, keepdim: bool = False, *, dtype: OptionalDtype = None)"
    shape_only: ClassVar[tuple[str, ...]] = ("x",)

    def result_dtype(self, dtype: DType, attrs: dict[str, Any]) -> DType:
        wanted = attrs.get("dtype")
        if wanted is not None:
            return wanted
        return dtype if dtype.is_floating else dtypes.int64


@define_op
class Sum(Accumulation):
    """Sum of the elements; the sum of nothing is 0."""

    samples = reduction_samples(dtypes=dtypes.ALL)

    def eager(self, x: np.ndarray, dim: tuple[int, ...], keepdim: bool, dtype: DType | None = None) -> Any:
        return reduce(np.sum, x, dim, keepdim)

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: Any, keepdim: bool, dtype: DType | None = None) -> Gradient:
        return spread(g, x, dim, keepdim).expand(tuple(x.shape))


@define_op
class Mean(Accumulation):
    """Mean of floating elements; the mean of nothing is nan. Integers need `dtype=`."""

    samples = samples(
        *reduction_samples()(), call(A((3, 5)), dtype=dtypes.float32, dtypes=(dtypes.int64, dtypes.float16))
    )

    def result_dtype(self, dtype: DType, attrs: dict[str, Any]) -> DType:
        result = attrs.get("dtype") or dtype
        if not result.is_floating:
            raise DTypeError(
                f"mean: the result must have a floating dtype, and the input is {dtype.long_name}; pass "
                "dtype=tracegraph.float32"
            )
        return result

    def post(self, k: Any, total: Scalar, count: Dim, attrs: dict[str, Any]) -> Scalar:
        return total / count_scalar(k, count, k.dtype(total))

    def eager(self, x: np.ndarray, dim: tuple[int, ...], keepdim: bool, dtype: DType | None = None) -> Any:
        total = reduce(np.sum, x, dim, keepdim)
        return total / total.dtype.type(dims.product(tuple(x.shape[a] for a in dim)))

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: Any, keepdim: bool, dtype: DType | None = None) -> Gradient:
        g = g / reduced_count(x, dim)
        return spread(g, x, dim, keepdim).expand(tuple(x.shape))


@define_op
class Prod(Accumulation):
    """Product of the elements; the product of nothing is 1."""

    combine = "mul"
    shape_only = ()
    autocast = Autocast.FLOAT32
    samples = samples(
        *reduction_samples(dtypes=dtypes.ALL)(),
        call(A((4, 5), 0, 1, dtype=dtypes.int64), 1, dtype=dtypes.float64, dtypes=(dtypes.float64,)),
    )

    def eager(self, x: np.ndarray, dim: tuple[int, ...], keepdim: bool, dtype: DType | None = None) -> Any:
        return reduce(np.prod, x, dim, keepdim)

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: Any, keepdim: bool, dtype: DType | None = None) -> Gradient:
        # The product of the others is y / x. Beside one zero it is that of the elements that are none; beside two the
        # other zero is a factor of it, which second derivatives see. Nothing is divided by a zero.
        zero = x == 0
        zeros = zero.sum(dim, keepdim=True)
        divisor = F.where(zero, 1, x)
        nonzero = divisor.prod(dim, keepdim=True)
        second = (F.where(zero, x, 0).sum(dim, keepdim=True) - x) * nonzero
        at_zero = F.where(zeros == 1, nonzero, F.where(zeros == 2, second, 0))
        others = F.where(zero, at_zero, spread(y, x, dim, keepdim) / divisor)
        return spread(g, x, dim, keepdim) * others


@define_op
class Nansum(Derived):
    """Sum of the elements that are not nan."""

    signature = Accumulation.signature
    samples = reduction_samples()

    def decompose(self, x: Handle, dim: Any, keepdim: bool, dtype: DType | None) -> Handle:
        return x.masked_fill(x.isnan(), 0).sum(dim, keepdim, dtype=dtype)


@define_op
class Nanmean(Derived):
    """Mean of the elements that are not nan; nan if all are."""

    signature = Accumulation.signature
    samples = reduction_samples()

    def decompose(self, x: Handle, dim: Any, keepdim: bool, dtype: DType | None) -> Handle:
        valid = x.isnan().logical_not()
        return x.nansum(dim, keepdim, dtype=dtype) / valid.sum(dim, keepdim)


# --------------------------------------------------------------------------------------------- logic and counts


class Truth(Reduction):
    """Base of `any` and `all`: the result is bool, but uint8 for uint8, as in PyTorch."""

    samples = reduction_samples(dtypes=dtypes.ALL)
    ufunc: ClassVar[np.ufunc]

    def result_dtype(self, dtype: DType, attrs: dict[str, Any]) -> DType:
        return dtypes.uint8 if dtype is dtypes.uint8 else dtypes.bool_

    def accumulator(self, dtype: DType, attrs: dict[str, Any]) -> DType:
        return dtypes.bool_

    def eager(self, x: np.ndarray, dim: tuple[int, ...], keepdim: bool) -> Any:
        return self.ufunc.reduce(x, axis=dim, keepdims=keepdim)


@define_op
class Any_(Truth):
    """Whether any element is true (not zero); false for none at all."""

    name = "any"
    combine = "logical_or"
    ufunc = np.logical_or


@define_op
class All(Truth):
    """Whether all elements are true (not zero); true for none at all."""

    combine = "logical_and"
    ufunc = np.logical_and


@define_op
class CountNonzero(Derived):
    """Number of elements that are not zero, int64."""

    signature = "(input: Tensor, dim: dims = None)"
    samples = samples(call(A((3, 5)), dtypes=dtypes.ALL), call(A((2, 3, 4)), (0, 2)), call(A((0, 4)), 1), call(A(())))

    def decompose(self, x: Handle, dim: Any) -> Handle:
        return (x != 0).sum(dim)


# --------------------------------------------------------------------------------------------- undoing a broadcast


@define_op
class SumToSize(Composite):
    """Sum over the dimensions along which `size` would be broadcast to the shape of `input`."""

    signature = "(input: Tensor, size: size)"
    shape_only = ("x",)
    samples = samples(
        call(A((2, 3, 5)), (3, 1)),
        call(A((3, 5)), (3, 5)),
        call(A((3, 5)), (1, 5)),
        call(A((3, 5)), ()),
        call(A(()), ()),
        call(A((0, 4)), (1, 4)),
    )

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        summed_dims(x, attrs["size"])
        return (x.with_shape(attrs["size"]),)

    def eager(self, x: np.ndarray, size: tuple[int, ...]) -> Any:
        dtype = dtypes.from_numpy(x.dtype)
        axes = summed_dims(x, size)
        if not axes:
            return x.copy()
        total = np.sum(cast_array(x, dtype.compute), axis=axes, keepdims=True)
        return cast_array(np.asarray(total), dtype).reshape(size)

    def decompose(self, x: Handle, size: tuple[Dim, ...]) -> Handle:
        axes = summed_dims(x, size)
        if axes:
            x = x.sum(axes, True, dtype=x.dtype)
        return x if x.ndim == len(size) else x.reshape(size)

    def batched(self, batch: Batch) -> Handle:
        size = batch.attrs["size"]
        kept = (batch.size, *(1,) * (batch.rank(0) - len(size)), *size)
        return F.reshape(batch.call(batch.operands, size=kept), (batch.size, *size))

    def vjp(self, g: Handle, y: Handle, x: Handle, size: tuple[Dim, ...]) -> Gradient:
        return g.expand(tuple(x.shape))


def summed_dims(x: Any, size: tuple[Dim, ...]) -> tuple[int, ...]:
    """The axes of `x` to sum over so that it gets the shape `size`, up to leading sizes of 1.

    Raises:
        ShapeError: `size` does not broadcast to the shape of `x`.
    """
    lead = len(x.shape) - len(size)
    axes = list(range(lead))
    for axis, target in enumerate(size, lead):
        source = x.shape[axis] if lead >= 0 else 1
        if dims.same(source, target):
            continue
        if not (isinstance(target, int) and target == 1) and source != target:
            raise ShapeError(f"sum_to_size: size {list(size)} does not broadcast to the shape {list(x.shape)}")
        if isinstance(target, int) and target == 1:
            axes.append(axis)
    if lead < 0:
        raise ShapeError(f"sum_to_size: size {list(size)} has more dimensions than the shape {list(x.shape)}")
    return tuple(axes)
