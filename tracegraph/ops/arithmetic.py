"""Arithmetic on elements: + - * / // % **, negation, absolute value, roots."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.ir.rules import Scalar
from tracegraph.ops.definition import Gradient, Handle, define_op
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.samples import REAL, binary, unary
from tracegraph.ops.scalar import Scalars

BINARY = "(input: Number, other: Number)"


@define_op
class Add(Pointwise):
    """Sum of the operands; `logical or` of bools."""

    signature = BINARY
    operators = ("__add__",)
    inplace = True
    samples = binary(dtypes=dtypes.ALL)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.add(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x + y

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return g, g


@define_op
class Mul(Pointwise):
    """Product of the operands; `logical and` of bools."""

    signature = BINARY
    operators = ("__mul__",)
    inplace = True
    samples = binary(dtypes=dtypes.ALL)

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.multiply(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return x * y

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return lambda: g * b, lambda: g * a


@define_op
class Neg(Pointwise):
    """Negation."""

    operators = ("__neg__",)
    accepts = "if"
    inplace = True
    samples = unary(dtypes=REAL)

    def eager(self, x: np.ndarray) -> Any:
        return np.negative(x)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return -x

    def vjp(self, g: Handle, y: Handle, a: Handle) -> Gradient:
        return -g
