"""Comparison of elements, tests for nan and infinity, and logic on truth values; all give bools."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.ir.rules import Scalar
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, binary, call, samples, unary
from tracegraph.ops.kinds import Derived, Pointwise
from tracegraph.ops.numerics.scalar import Scalars


class Comparison(Pointwise):
    """Base of the six comparisons: operands are promoted to a common dtype first."""

    signature = "(input: Number, other: Number)"
    promotion = "bool"
    inplace = True
    samples = binary(dtypes=dtypes.ALL)


@define_op
class Eq(Comparison):
    """Whether elements are equal."""

    commutative = True
    operators = ("__eq__",)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.equal(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x == y


@define_op
class Ne(Comparison):
    """Whether elements differ; nan differs from everything."""

    commutative = True
    aliases = ("not_equal",)
    operators = ("__ne__",)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.not_equal(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x != y


@define_op
class Lt(Comparison):
    """Whether elements of `input` are less than those of `other`."""

    aliases = ("less",)
    operators = ("__lt__",)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.less(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x < y


@define_op
class Le(Comparison):
    """Whether elements of `input` are less than or equal to those of `other`."""

    aliases = ("less_equal",)
    operators = ("__le__",)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.less_equal(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x <= y


@define_op
class Gt(Comparison):
    """Whether elements of `input` are greater than those of `other`."""

    aliases = ("greater",)
    operators = ("__gt__",)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.greater(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x > y


@define_op
class Ge(Comparison):
    """Whether elements of `input` are greater than or equal to those of `other`."""

    aliases = ("greater_equal",)
    operators = ("__ge__",)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.greater_equal(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x >= y


# --------------------------------------------------------------------------------------------- tests


class Test(Pointwise):
    """Base of tests of one element."""

    promotion = "bool"
    samples = unary(dtypes=dtypes.ALL)


def never(k: Scalars, x: Scalar) -> Scalar:
    """False for every element."""
    return k.cast(x, dtypes.bool_) & False


@define_op
class Isnan(Test):
    """Whether elements are nan; no integer is."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.isnan(x) if k.dtype(x).is_floating else never(k, x)


@define_op
class Isinf(Test):
    """Whether elements are infinite; no integer is."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.isinf(x) if k.dtype(x).is_floating else never(k, x)


@define_op
class Isfinite(Test):
    """Whether elements are neither infinite nor nan; every integer is finite."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.abs(x) < math.inf if k.dtype(x).is_floating else ~never(k, x)


@define_op
class Isposinf(Test):
    """Whether elements are positive infinity."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x == math.inf if k.dtype(x).is_floating else never(k, x)


@define_op
class Isneginf(Test):
    """Whether elements are negative infinity."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x == -math.inf if k.dtype(x).is_floating else never(k, x)


@define_op
class Signbit(Test):
    """Whether the sign bit of elements is set; it is for -0.0, which is not less than 0."""

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        dtype = k.dtype(x)
        if dtype.is_floating:
            return k.copysign(k.const(1.0, dtype), x) < 0
        return x < k.const(0, dtype)


@define_op
class Isclose(Derived):
    """Whether |input - other| <= atol + rtol * |other|, elementwise; infinities are close to their like."""

    signature = "(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False)"
    samples = samples(
        call(A((3, 5)), A((3, 5)), rtol=0.5, dtypes=dtypes.ALL),
        call(A((4, 1)), A((3,)), atol=0.5, equal_nan=True, dtypes=dtypes.ALL),
    )

    def decompose(self, x: Handle, y: Handle, rtol: float, atol: float, equal_nan: bool) -> Handle:
        close = x == y
        if equal_nan and x.dtype.is_floating:
            close = close | (x.isnan() & y.isnan())
        if not x.dtype.is_floating:
            x, y = x.to(dtypes.float64), y.to(dtypes.float64)
        difference = (x - y).abs()
        return close | (difference.isfinite() & (difference <= y.abs() * rtol + atol))


# --------------------------------------------------------------------------------------------- logic


@define_op
class LogicalNot(Test):
    """Whether elements are zero."""

    involution = True
    inplace = True

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x == k.const(0, k.dtype(x))


class Logic(Pointwise):
    """Base of logic on two truth values; an element is true if it is not zero."""

    commutative = True
    signature = "(input: Number, other: Number)"
    promotion = "bool"
    inplace = True
    samples = binary(dtypes=dtypes.ALL, number=None)


@define_op
class LogicalAnd(Logic):
    """Whether both elements are true."""

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return k.cast(x, dtypes.bool_) & k.cast(y, dtypes.bool_)


@define_op
class LogicalOr(Logic):
    """Whether at least one of the elements is true."""

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return k.cast(x, dtypes.bool_) | k.cast(y, dtypes.bool_)


@define_op
class LogicalXor(Logic):
    """Whether exactly one of the elements is true."""

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return k.cast(x, dtypes.bool_) ^ k.cast(y, dtypes.bool_)
