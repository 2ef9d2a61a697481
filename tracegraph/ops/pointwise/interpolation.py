"""Three-operand arithmetic: lerp, addcmul, addcdiv."""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.errors import DTypeError
from tracegraph.ir.rules import Scalar
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import REAL, A, call, samples
from tracegraph.ops.core.sym_float import Float
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.numerics.scalar import Scalars


@define_op
class Lerp(Pointwise):
    """input + weight * (end - input), computed from the nearer end; `weight` is a number or a tensor."""

    signature = "(input: Tensor, end: Tensor, weight: Number)"
    accepts = "f"
    inplace = True
    recompute_cost = 4
    samples = samples(
        call(A((3, 5)), A((3, 5)), 0.25),
        call(A((67,)), A((67,)), A((67,), 0, 1)),
        call(A((4, 1, 3)), A((2, 1)), A((3,), 0, 1)),
        call(A(()), A(()), 0.75),
        call(A((0, 4)), A((4,)), 0.5),
    )

    def scalar(self, k: Scalars, x: Scalar, end: Scalar, weight: Scalar) -> Scalar:
        difference = end - x
        from_end = end - difference * (1.0 - weight)
        return k.where(k.abs(weight) < 0.5, x + weight * difference, from_end)

    def vjp(self, g: Handle, y: Handle, x: Handle, end: Handle, weight: Handle) -> Gradient:
        return lambda: g * (1 - weight), lambda: g * weight, lambda: g * (end - x)


class Accumulate(Pointwise):
    """Base of addcmul and addcdiv."""

    signature = "(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Scalar = 1)"
    accepts = "if"
    inplace = True
    recompute_cost = 5

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        *tensors, value = operands
        if isinstance(value, Float) and not any(t.dtype.is_floating for t in tensors):
            raise DTypeError(f"{self.name}: value={value} must be an integer for integer operands")
        return operands, attrs


@define_op
class Addcmul(Accumulate):
    """input + value * tensor1 * tensor2."""

    samples = samples(
        call(A((3, 5)), A((3, 5)), A((3, 5)), dtypes=REAL),
        call(A((67,)), A((67,)), A((67,)), value=0.5),
        call(A((4, 1, 3)), A((2, 1)), A((3,)), value=-2),
        call(A(()), A(()), A((0, 4))),
    )

    def scalar(self, k: Scalars, x: Scalar, a: Scalar, b: Scalar, value: Scalar) -> Scalar:
        return x + a * value * b

    def vjp(self, g: Handle, y: Handle, x: Handle, a: Handle, b: Handle, value: Handle) -> Gradient:
        return g, lambda: g * (b * value), lambda: g * (a * value)


@define_op
class Addcdiv(Accumulate):
    """input + value * tensor1 / tensor2, for floating operands."""

    accepts = "f"
    samples = samples(
        call(A((3, 5)), A((3, 5)), A((3, 5), 0.5, 2)),
        call(A((67,)), A((67,)), A((67,), 0.5, 2), value=0.5),
        call(A((4, 1, 3)), A((2, 1)), A((3,), 0.5, 2), value=-2),
        call(A(()), A(()), A((0, 4), 0.5, 2), dtypes=(dtypes.float32,)),
    )

    def scalar(self, k: Scalars, x: Scalar, a: Scalar, b: Scalar, value: Scalar) -> Scalar:
        return x + a * value / b

    def vjp(self, g: Handle, y: Handle, x: Handle, a: Handle, b: Handle, value: Handle) -> Gradient:
        return g, lambda: g * (value / b), lambda: -g * (a / (b * b) * value)
