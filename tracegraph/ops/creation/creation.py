"""Tensors from numbers: constants, ranges, the identity; with PyTorch's default dtypes.

The primitives are `full`, `arange`, `linspace` and `eye`; `zeros`, `ones_like`, `new_full` and their kin name special
cases of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, SymExpr
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.layout import Shape
from tracegraph.ops.core.samples import A, call, samples, unary
from tracegraph.ops.core.weak_numbers import Number, fitting, wrapped
from tracegraph.ops.kinds import Creation, DerivedCreation
from tracegraph.ops.numerics.scalar import cast_array

#: operands and attributes of a bound call
Bound = tuple[tuple[Any, ...], dict[str, Any]]


@define_op
class Full(Creation):
    """A tensor of `size` filled with `fill_value`; without `dtype` bool, int64 or float32 after the value."""

    signature = "(size: size, fill_value: number, *, dtype: OptionalDtype = None)"
    samples = samples(call((2, 3), 1.5), call((), 7), call((0, 4), True), call((3,), -1, dtype=dtypes.uint8))

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Bound:
        check_size("full", attrs["size"])
        dtype = attrs["dtype"] or dtypes.of_scalar(attrs["fill_value"])
        value = fitting("full", "fill_value", attrs["fill_value"], dtype)
        return operands, {"size": attrs["size"], "fill_value": value, "dtype": dtype}

    def infer(self, *, size: Shape, fill_value: Number, dtype: DType) -> tuple[TensorType, ...]:
        return (TensorType(dtype, size),)

    def vary(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        # -0.0 + x is x, for every x
        return (F.full(attrs["size"], -0.0, dtype=attrs["dtype"].compute) + attrs["fill_value"]).to(attrs["dtype"])

    def eager(self, *, size: tuple[int, ...], fill_value: Any, dtype: DType) -> np.ndarray:
        if fill_value == 0 and not math.copysign(1.0, fill_value) < 0:
            return np.zeros(size, dtype.np)  # the system's zero pages, not touched until used
        return np.full(size, wrapped(fill_value, dtype), dtype.np)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        value, dtype = attrs["fill_value"], attrs["dtype"]
        if isinstance(value, SymExpr):
            return k.cast(k.index_scalar(value), dtype)
        return k.cast(k.const(value, dtype.compute), dtype)


def check_size(op: str, size: Shape) -> None:
    """Check that a shape has no negative size.

    Raises:
        ShapeError: it has.
    """
    for d in size:
        if dims.is_below(d, 0):
            raise ShapeError(f"{op}: a tensor cannot have the negative size {d}, in {list(size)}")


@define_op
class Arange(Creation):
    """`start`, `start + step`, ... up to and without `end`; int64 if all three are integers, else float32.

    `arange(end)` starts at 0.

    Raises:
        ValueRangeError: `step` is 0 or leads away from `end`.
    """

    signature = (
        "(start: OptionalNumberAttr = None, end: OptionalNumberAttr = None, step: number = 1, *, "
        "dtype: OptionalDtype = None)"
    )
    samples = samples(call(5), call(2, 11, 3), call(1.0, 2.0, 0.3), call(5, 0, -2), call(3, dtype=dtypes.float64))

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Bound:
        start, end, step, dtype = attrs["start"], attrs["end"], attrs["step"], attrs["dtype"]
        if end is None:
            start, end = 0, start
        if end is None:
            raise ArgumentError("arange: argument 'end' is missing")
        start = 0 if start is None else start
        start, end, step = (int(v) if isinstance(v, bool) else v for v in (start, end, step))
        if dtype is None:
            kinds = map(dtypes.of_scalar, (start, end, step))
            dtype = dtypes.DEFAULT.dtype if any(k.is_floating for k in kinds) else dtypes.int64
        if dtype.is_bool:
            raise DTypeError("arange: not defined for dtype bool")
        if not isinstance(step, SymExpr) and step == 0:
            raise ValueRangeError("arange: step must not be zero")
        if (end < start) if step > 0 else (end > start):
            raise ValueRangeError(f"arange: a step of {step} does not lead from start={start} to end={end}")
        return operands, {"start": start, "end": end, "step": step, "dtype": dtype}

    def infer(self, *, start: Number, end: Number, step: Number, dtype: DType) -> tuple[TensorType, ...]:
        return (TensorType(dtype, (_arange_length(start, end, step),)),)

    def vary(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        start, step = attrs["start"], attrs["step"]
        steps = F.arange(math.ceil((attrs["end"] - start) / step), dtype=dtypes.float64)
        return (steps * step + start).to(attrs["dtype"])

    def eager(self, *, start: Any, end: Any, step: Any, dtype: DType) -> np.ndarray:
        steps = np.arange(
            int(_arange_length(start, end, step)), dtype=np.float64 if float in (type(start), type(step)) else np.int64
        )
        return cast_array(steps * step + start, dtype)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        start, step, dtype = attrs["start"], attrs["step"], attrs["dtype"]
        (i,) = index
        if float not in (type(start), type(step)):
            return k.cast(k.index_scalar(i * step + start), dtype)
        position = k.cast(k.index_scalar(i), dtypes.float64)
        return k.cast(position * float(step) + float(start), dtype)


def _arange_length(start: Any, end: Any, step: Any) -> Dim:
    if float in (type(start), type(end), type(step)):
        return max(math.ceil((end - start) / step), 0)
    return (end - start + step - 1) // step if step > 0 else (start - end - step - 1) // -step


@define_op
class Linspace(Creation):
    """`steps` numbers from `start` to `end`, both included, equally far apart; float32 by default.

    Raises:
        ValueRangeError: `steps` is negative.
    """

    signature = "(start: float, end: float, steps: int, *, dtype: OptionalDtype = None)"
    samples = samples(call(0.0, 1.0, 5), call(3, -3, 4), call(2.0, 9.0, 1), call(0, 10, 5, dtype=dtypes.int64))

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Bound:
        steps = attrs["steps"]
        if steps < 0:
            raise ValueRangeError(f"linspace: the number of steps must not be negative, got {steps}")
        return operands, {**attrs, "steps": 1 if steps == 1 else steps, "dtype": attrs["dtype"] or dtypes.DEFAULT.dtype}

    def infer(self, *, start: float, end: float, steps: Dim, dtype: DType) -> tuple[TensorType, ...]:
        return (TensorType(dtype, (steps,)),)

    def vary(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        start, end, steps = attrs["start"], attrs["end"], attrs["steps"]
        i, last = F.arange(steps, dtype=dtypes.float64), steps - 1
        step = (end - start) / last if last > 0 else 0.0
        return F.where(i * 2 < (last if last > 0 else 1), i * step + start, (i - last) * step + end).to(attrs["dtype"])

    def eager(self, *, start: float, end: float, steps: int, dtype: DType) -> np.ndarray:
        if steps == 1:
            return cast_array(np.full(1, start), dtype)
        i = np.arange(steps, dtype=np.float64)
        step = (end - start) / (steps - 1) if steps else 0.0
        # from both ends inwards: symmetric, and both ends exact
        return cast_array(np.where(i < (steps - 1) / 2, start + step * i, end - step * (steps - 1 - i)), dtype)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        start, end, steps, dtype = attrs["start"], attrs["end"], attrs["steps"], attrs["dtype"]
        if isinstance(steps, int) and steps == 1:
            return k.cast(k.const(start, dtypes.float64), dtype)
        i = k.cast(k.index_scalar(index[0]), dtypes.float64)
        last = k.cast(k.index_scalar(steps - 1), dtypes.float64)
        step = k.const(end - start, dtypes.float64) / last
        return k.cast(k.where(i < last * 0.5, start + step * i, end - step * (last - i)), dtype)


@define_op
class Logspace(DerivedCreation):
    """`steps` numbers from base ** start to base ** end, equally far apart in their logarithms; float32 by default."""

    signature = "(start: float, end: float, steps: int, base: float = 10.0, *, dtype: OptionalDtype = None)"
    samples = samples(call(0.0, 2.0, 5), call(1.0, -1.0, 3, 2.0, dtype=dtypes.float64))

    def decompose(self, *, start: float, end: float, steps: Dim, base: float, dtype: DType | None) -> Handle:
        exponents = F.linspace(start, end, steps, dtype=dtypes.float64)
        return F.pow(base, exponents).to(dtype or dtypes.DEFAULT.dtype)


@define_op
class Eye(Creation):
    """The identity matrix of `n` rows and `m` (default `n`) columns: ones on the diagonal, zeros elsewhere."""

    signature = "(n: int, m: OptionalInt = None, *, dtype: OptionalDtype = None)"
    samples = samples(call(3), call(2, 4), call(3, 2, dtype=dtypes.int64), call(0))

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Bound:
        n, m = attrs["n"], attrs["n"] if attrs["m"] is None else attrs["m"]
        check_size("eye", (n, m))
        return operands, {"n": n, "m": m, "dtype": attrs["dtype"] or dtypes.DEFAULT.dtype}

    def infer(self, *, n: Dim, m: Dim, dtype: DType) -> tuple[TensorType, ...]:
        return (TensorType(dtype, (n, m)),)

    def eager(self, *, n: int, m: int, dtype: DType) -> np.ndarray:
        return np.eye(n, m, dtype=dtype.np)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        row, column = map(k.index_scalar, index)
        return k.cast(row == column, attrs["dtype"])


# ------------------------------------------------------------------------------------ special cases, by size


class Filled(DerivedCreation):
    """`full` with a fixed value; float32 by default."""

    signature = "(size: size, *, dtype: OptionalDtype = None)"
    samples = samples(call((2, 3)), call(4, dtype=dtypes.int64), call(()))
    value = 0

    def decompose(self, *, size: Shape, dtype: DType | None) -> Handle:
        return F.full(size, self.value, dtype=dtype or dtypes.DEFAULT.dtype)


@define_op
class Zeros(Filled):
    """A tensor of `size` full of zeros; float32 by default."""


@define_op
class Ones(Filled):
    """A tensor of `size` full of ones; float32 by default."""

    value = 1


@define_op
class Empty(Filled):
    """A tensor of `size` whose elements are not defined (they are zeros); float32 by default."""


# ------------------------------------------------------------------------------------ ... by the shape of a tensor


class FilledLike(DerivedCreation):
    """`full` with a fixed value, and the shape and by default the dtype of a tensor."""

    signature = "(input: Tensor, *, dtype: OptionalDtype = None)"
    samples = unary(differentiable=False)
    value = 0

    def decompose(self, x: Handle, *, dtype: DType | None) -> Handle:
        return x._like_self(F.full(tuple(x.shape), self.value, dtype=dtype or x.dtype))


@define_op
class ZerosLike(FilledLike):
    """Zeros in the shape and dtype of a tensor."""


@define_op
class OnesLike(FilledLike):
    """Ones in the shape and dtype of a tensor."""

    value = 1


@define_op
class EmptyLike(FilledLike):
    """A tensor in the shape and dtype of another, its elements not defined (they are zeros)."""


@define_op
class FullLike(DerivedCreation):
    """A tensor filled with `fill_value`, in the shape and dtype of another."""

    signature = "(input: Tensor, fill_value: number, *, dtype: OptionalDtype = None)"
    samples = samples(call(A((2, 3)), 2, dtypes=dtypes.ALL, differentiable=False))

    def decompose(self, x: Handle, *, fill_value: Number, dtype: DType | None) -> Handle:
        return x._like_self(F.full(tuple(x.shape), fill_value, dtype=dtype or x.dtype))


# ------------------------------------------------------------------------------------ ... by the dtype of a tensor


class NewFilled(DerivedCreation):
    """`full` with a fixed value, by default in the dtype of a tensor."""

    method = True
    signature = "(input: Tensor, size: size, *, dtype: OptionalDtype = None)"
    samples = samples(call(A((2,)), (4, 3), dtypes=dtypes.ALL, differentiable=False))
    value = 0

    def decompose(self, x: Handle, *, size: Shape, dtype: DType | None) -> Handle:
        return x._like_self(F.full(size, self.value, dtype=dtype or x.dtype))


@define_op
class NewZeros(NewFilled):
    """Zeros of `size`, by default in the dtype of the tensor."""


@define_op
class NewOnes(NewFilled):
    """Ones of `size`, by default in the dtype of the tensor."""

    value = 1


@define_op
class NewEmpty(NewFilled):
    """A tensor of `size`, by default in the dtype of this one, its elements not defined (they are zeros)."""


@define_op
class NewFull(DerivedCreation):
    """A tensor of `size` filled with `fill_value`, by default in the dtype of this one."""

    method = True
    signature = "(input: Tensor, size: size, fill_value: number, *, dtype: OptionalDtype = None)"
    samples = samples(call(A((2,)), (4, 3), 2, dtypes=dtypes.ALL, differentiable=False))

    def decompose(self, x: Handle, *, size: Shape, fill_value: Number, dtype: DType | None) -> Handle:
        return x._like_self(F.full(size, fill_value, dtype=dtype or x.dtype))
