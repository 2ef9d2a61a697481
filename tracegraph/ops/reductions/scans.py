"""Running sums, products and extremes along a dimension."""

from __future__ import annotations

from typing import Any, ClassVar

import ml_dtypes
import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError
from tracegraph.ir import TensorType
from tracegraph.ir.rules import OperandTypes, Scan
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, Sampler, call, samples
from tracegraph.ops.core.shapes import type_of
from tracegraph.ops.kinds import Library, ScanOp
from tracegraph.ops.kinds.batching import along_dims
from tracegraph.ops.numerics.quiet import quiet
from tracegraph.ops.numerics.scalar import cast_array


def scan_samples(**options: Any) -> Sampler:
    """First and last dimension, 0-d, empty."""
    return samples(
        call(A((3, 5)), 1, **options),
        call(A((2, 3, 4)), 0),
        call(A((67,)), -1),
        call(A(()), 0),
        call(A((0, 4)), 0),
        call(A((0, 4)), 1),
    )


class Running(ScanOp):
    """Base of cumsum and cumprod: integers accumulate in int64, or all in `dtype`."""

    signature = "(input: Tensor, dim: dim, *, dtype: OptionalDtype = None)"
    combine: ClassVar[str]
    ufunc: ClassVar[np.ufunc]
    inplace = True
    samples = scan_samples(dtypes=dtypes.ALL)

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if attrs["dtype"] is None:
            del attrs["dtype"]
        return operands, attrs

    def result_dtype(self, dtype: DType, attrs: dict[str, Any]) -> DType:
        """The dtype asked for, the input's, or int64."""
        wanted = attrs.get("dtype")
        return wanted if wanted is not None else dtype if dtype.is_floating else dtypes.int64

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        return (x.with_dtype(self.result_dtype(x.dtype, attrs)),)

    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        (x,) = operands
        result = self.result_dtype(dtypes.from_numpy(x.dtype), attrs)
        with quiet():
            wide = cast_array(x, result.compute)
            running = self.ufunc.accumulate(wide, axis=attrs["dim"]) if x.ndim else wide.copy()
        return (cast_array(running, result),)

    def scan(self, types: OperandTypes, attrs: dict[str, Any]) -> Scan:
        """The scan rule."""
        (x,) = types
        assert isinstance(x, TensorType)
        return Scan(attrs["dim"], self.combine, self.result_dtype(x.dtype, attrs).compute)


@define_op
class Cumsum(Running):
    """Running sum along `dim`."""

    combine = "add"
    ufunc = np.add

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: int, dtype: DType | None = None) -> Gradient:
        return reverse_cumsum(g, dim)


@define_op
class Cumprod(Running):
    """Running product along `dim`."""

    combine = "mul"
    ufunc = np.multiply

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: int, dtype: DType | None = None) -> Gradient:
        if not x.ndim:
            return g
        # d y_j / d x_i is y_j / x_i for j >= i, as long as x_i is not 0. The first zero of a line is the factor of
        # all that follows: its slope at j is the product of the others. That of the second has the first as a factor,
        # which second derivatives see.
        zero = x == 0
        zeros = zero.cumsum(dim)
        slope = reverse_cumsum(g * y, dim) / F.where(zero, 1, x)
        for count in (1, 2):
            this = zero & (zeros == count)
            slope = F.where(this, reverse_cumsum(g * F.where(this, 1, x).cumprod(dim), dim), slope)
        return F.where(zeros > 2, 0, slope)


def reverse(x: Handle, dim: int) -> Handle:
    """The elements in reverse order along `dim`."""
    return x.flip(dim) if x.ndim else x


def reverse_cumsum(x: Handle, dim: int) -> Handle:
    """Running sum from the end."""
    return reverse(reverse(x, dim).cumsum(dim), dim)


@define_op
class Logcumsumexp(Library):
    """Running log-sum-exp along `dim`: each element from the one before, so that nothing over- or underflows."""

    signature = "(input: Tensor, dim: dim)"
    samples = samples(call(A((3, 5)), 1), call(A((2, 3, 4)), 0), call(A((67,), -90, 90), 0), call(A(()), 0))
    batched = along_dims

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        if not x.dtype.is_floating:
            raise DTypeError(f"logcumsumexp({x}): not defined for dtype {x.dtype.long_name}; convert the operand")
        return (x,)

    def eager(self, x: np.ndarray, dim: int) -> Any:
        self.infer(type_of(x), dim=dim)
        wide = cast_array(x, dtypes.from_numpy(x.dtype).compute)
        running = np.logaddexp.accumulate(wide, axis=dim) if x.ndim else wide.copy()
        return cast_array(running, dtypes.from_numpy(x.dtype))

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: int) -> Gradient:
        # sum over j >= i of g_j exp(x_i - y_j), of the positive and the negative g in logarithms. A number whose exp is
        # 0 stands for the logarithm of nothing: second derivatives would be nan beside -inf.
        finfo: Any = ml_dtypes.finfo  # numpy's does not know bfloat16
        nothing = float(finfo(x.dtype.np).min) / 2

        def part(weights: Handle) -> Handle:
            counts = (weights <= 0).logical_not()  # nan counts
            logarithms = F.where(counts, F.where(counts, weights, 1).log() - y, nothing)
            return (reverse(reverse(logarithms, dim).logcumsumexp(dim), dim) + x).exp()

        return part(g) - part(-g)


class RunningExtremum(Library):
    """Base of cummax and cummin: values and the positions they come from (the latest, at a tie)."""

    signature = "(input: Tensor, dim: dim)"
    result_names = ("values", "indices")
    shape_only = ("x", "values")
    ufunc: ClassVar[np.ufunc]
    samples = samples(
        call(A((3, 5), distinct=True), 1, dtypes=dtypes.ALL),
        call(A((67,), distinct=True), 0),
        call(A(()), 0),
        call(A((0, 4)), 0),
    )
    batched = along_dims

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        return x, x.with_dtype(dtypes.int64)

    def eager(self, x: np.ndarray, dim: int) -> Any:
        if not x.ndim:
            return x.copy(), np.zeros((), np.int64)
        dtype = dtypes.from_numpy(x.dtype)
        with quiet():
            wide = cast_array(x, dtype.compute)
            values = self.ufunc.accumulate(wide, axis=dim)
            new = (wide == values) | np.not_equal(wide, wide)
        shape = [1] * x.ndim
        shape[dim] = -1
        positions = np.where(new, np.arange(x.shape[dim]).reshape(shape), 0)
        return cast_array(values, dtype), np.maximum.accumulate(positions, axis=dim)

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: int) -> Gradient:
        if not x.ndim:
            return g[0]
        return F.zeros_like(g[0]).scatter_add(dim, y[1], g[0])


@define_op
class Cummax(RunningExtremum):
    """Running maximum along `dim`, and where it is."""

    ufunc = np.maximum


@define_op
class Cummin(RunningExtremum):
    """Running minimum along `dim`, and where it is."""

    ufunc = np.minimum
