"""Logic on the bits of integers and on bools, and shifts."""

from __future__ import annotations

from tracegraph import dtypes
from tracegraph.ir.rules import Scalar
from tracegraph.ops.core.definition import define_op
from tracegraph.ops.core.samples import A, binary, call, samples, unary
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.numerics.scalar import Scalars

BITS = (dtypes.bool_, *dtypes.INTEGER_DTYPES)


class Bitwise(Pointwise):
    """Base of the binary ones."""

    signature = "(input: Number, other: Number)"
    accepts = "bi"
    inplace = True
    samples = samples(*binary(-9, 9, dtypes=BITS, number=None)(), call(A((3, 5)), 3, dtypes=dtypes.INTEGER_DTYPES))


@define_op
class BitwiseAnd(Bitwise):
    """Bits set in both operands; logical `and` of bools."""

    commutative = True
    operators = ("__and__",)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x & y


@define_op
class BitwiseOr(Bitwise):
    """Bits set in either operand; logical `or` of bools."""

    commutative = True
    operators = ("__or__",)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x | y


@define_op
class BitwiseXor(Bitwise):
    """Bits set in exactly one operand; logical `xor` of bools."""

    commutative = True
    operators = ("__xor__",)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x ^ y


@define_op
class BitwiseNot(Pointwise):
    """Every bit flipped; logical `not` of bools."""

    involution = True
    operators = ("__invert__",)
    accepts = "bi"
    inplace = True
    samples = unary(-9, 9, dtypes=BITS)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return ~x


class Shift(Bitwise):
    """Base of the shifts; counts outside the width of the dtype shift everything out."""

    accepts = "i"
    samples = binary(-9, 9, 0, 9, dtypes=dtypes.INTEGER_DTYPES, number=2)


@define_op
class BitwiseLeftShift(Shift):
    """Bits moved up by `other` places, zeros from below."""

    operators = ("__lshift__",)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return k.shl(x, y)


@define_op
class BitwiseRightShift(Shift):
    """Bits moved down by `other` places, copies of the sign bit from above."""

    operators = ("__rshift__",)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return k.shr(x, y)
