"""Choosing between elements: where, masked_fill, replacement of nan and infinities."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError
from tracegraph.ir import TensorType
from tracegraph.ir.rules import OperandTypes, Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.promotion import result_type
from tracegraph.ops.core.samples import A, call, samples, unary
from tracegraph.ops.core.sym_float import Float
from tracegraph.ops.core.weak_numbers import fitting
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.numerics.scalar import Scalars


@define_op
class Where(Pointwise):
    """Elements of `input` where `condition` holds, of `other` elsewhere.

    The condition is bool; the other two are promoted to a common dtype. Elements that are not chosen get no gradient,
    also where they are nan.
    """

    signature = "(condition: Tensor, input: Number, other: Number)"
    element_numbers = (1, 2)
    method = False
    samples = samples(
        call(A((3, 5), dtype=dtypes.bool_), A((3, 5)), A((3, 5)), dtypes=dtypes.ALL),
        call(A((67,), dtype=dtypes.bool_), A((67,)), A((67,)), dtypes=dtypes.ALL),
        call(A((4, 1, 1), dtype=dtypes.bool_), A((2, 1)), A((3,))),
        call(A((), dtype=dtypes.bool_), A(()), A((3,)), dtypes=dtypes.ALL),
        call(A((0, 4), dtype=dtypes.bool_), A((4,)), 1.5),
        call(A((3, 5), dtype=dtypes.bool_), -1, A((3, 5)), dtypes=(dtypes.int32, dtypes.float32)),
    )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`where(condition)` alone gives the positions of its true elements."""
        if len(args) + len(kwargs) == 1:
            return F.nonzero(*args, **kwargs, as_tuple=True)
        return super().__call__(*args, **kwargs)

    def promote(self, types: OperandTypes) -> tuple[DType, DType]:
        common = result_type(*types[1:])
        return common, common

    def operand_dtypes(self, types: OperandTypes) -> tuple[DType, ...]:
        condition = types[0]
        if isinstance(condition, TensorType) and not condition.dtype.is_bool:
            raise DTypeError(f"where: the condition must be bool, got {condition}; compare it with something")
        common = self.promote(types)[0]
        return dtypes.bool_, common, common

    def eager(self, condition: np.ndarray, a: np.ndarray, b: np.ndarray) -> Any:
        return np.where(condition, a, b)

    def scalar(self, k: Scalars, condition: Scalar, a: Scalar, b: Scalar) -> Scalar:
        return k.where(condition, a, b)

    def vjp(self, g: Handle, y: Handle, condition: Handle, a: Handle, b: Handle) -> Gradient:
        return None, lambda: F.where(condition, g, 0), lambda: F.where(condition, 0, g)


@define_op
class MaskedFill(Pointwise):
    """`value` where `mask` holds, elements of `input` elsewhere; the dtype is the input's."""

    signature = "(input: Tensor, mask: Tensor, value: Number)"
    element_numbers = (2,)
    promotion = "like:0"
    inplace = True
    samples = samples(
        call(A((3, 5)), A((3, 5), dtype=dtypes.bool_), 1, dtypes=dtypes.ALL),
        call(A((2, 3, 5)), A((3, 1), dtype=dtypes.bool_), -1.5),
        call(A((3,)), A((), dtype=dtypes.bool_), A(())),
        call(A((0, 4)), A((4,), dtype=dtypes.bool_), 0.0),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """A number is brought to the input's category: 1.5 fills integers with 1."""
        x, mask, value = operands
        if isinstance(value, Float) and not x.dtype.is_floating:
            value = fitting("masked_fill", "value", value, x.dtype)
        return (x, mask, value), attrs

    def operand_dtypes(self, types: OperandTypes) -> tuple[DType, ...]:
        mask = types[1]
        if isinstance(mask, TensorType) and not mask.dtype.is_bool:
            raise DTypeError(f"masked_fill: the mask must be bool, got {mask}; compare it with something")
        common = self.promote(types)[0]
        return common, dtypes.bool_, common

    def eager(self, x: np.ndarray, mask: np.ndarray, value: np.ndarray) -> Any:
        return np.where(mask, value, x)

    def scalar(self, k: Scalars, x: Scalar, mask: Scalar, value: Scalar) -> Scalar:
        return k.where(mask, value, x)

    def vjp(self, g: Handle, y: Handle, x: Handle, mask: Handle, value: Handle) -> Gradient:
        return lambda: F.where(mask, 0, g), None, lambda: F.where(mask, g, 0)


@define_op
class NanToNum(Pointwise):
    """Elements with nan replaced by `nan`, infinities by `posinf` and `neginf` (default: the largest finite ones)."""

    signature = "(input: Tensor, nan: Scalar = 0.0, posinf: OptionalScalar = None, neginf: OptionalScalar = None)"
    inplace = True
    samples = unary(dtypes=dtypes.ALL)

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Replacements spelled out: the scalar rule does not see a 16-bit dtype, only the one it is computed in."""
        x, nan, *limits = operands
        finfo: Any = ml_dtypes.finfo  # numpy's does not know bfloat16
        largest = float(finfo(x.dtype.np).max) if x.dtype.is_floating else 0.0
        limits = [d if limit is None else limit for limit, d in zip(limits, (largest, -largest), strict=True)]
        return (x, nan, *limits), attrs

    def scalar(self, k: Scalars, x: Scalar, nan: Scalar, posinf: Scalar, neginf: Scalar) -> Scalar:
        if not k.dtype(x).is_floating:
            return x
        x = k.where(k.isnan(x), nan, x)
        return k.where(x == math.inf, posinf, k.where(x == -math.inf, neginf, x))

    def vjp(self, g: Handle, y: Handle, x: Handle, nan: Handle, posinf: Handle, neginf: Handle) -> Gradient:
        return F.where(x.isfinite(), g, 0)
