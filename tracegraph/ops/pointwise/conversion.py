"""Conversion between dtypes, and copies."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.ir import TensorType
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples, unary
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.kinds.pointwise import broadcast_index
from tracegraph.ops.numerics.scalar import Scalars, cast_array


@define_op
class Cast(Pointwise):
    """Elements in another dtype.

    Floats to integers truncate towards zero; narrower integers wrap; anything to bool is true where it is not zero.
    """

    signature = "(input: Tensor, dtype: dtype)"
    method = False
    samples = samples(
        *(
            call(A((3, 5), -100, 100), dtype=d, dtypes=dtypes.ALL, differentiable=d is dtypes.float64)
            for d in dtypes.ALL
            if d is not dtypes.uint8
        ),
        call(A((67,), 0, 100), dtype=dtypes.uint8, dtypes=dtypes.ALL),
        call(A(()), dtype=dtypes.float64),
        call(A((0, 4)), dtype=dtypes.float64),
    )

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        return (x.with_dtype(attrs["dtype"]),)

    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        (x,) = operands
        result = cast_array(x, attrs["dtype"])
        return (np.array(result, order="C") if result is x else result,)

    def scalar(self, k: Scalars, x: Scalar, dtype: DType) -> Scalar:
        return k.cast(x, dtype)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        (x,) = types
        assert isinstance(x, TensorType)
        return self.scalar(k, load(0, broadcast_index(index, x.shape)), **attrs)

    def vjp(self, g: Handle, y: Handle, x: Handle, dtype: DType) -> Gradient:
        return g  # the framework brings it to the operand's dtype


@define_op
class Clone(Pointwise):
    """A copy of the elements in fresh, row-major memory."""

    idempotent = True
    samples = unary(dtypes=dtypes.ALL)

    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        return (np.array(operands[0], order="C"),)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g
