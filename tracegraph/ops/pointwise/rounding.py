"""Rounding to integers; integers stay as they are. Gradients are 0: the functions are steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph.ir.rules import Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import REAL, A, call, samples, unary
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.numerics.scalar import Scalars


class Rounding(Pointwise):
    """Base of the step functions."""

    accepts = "if"
    inplace = True
    samples = unary(-3, 3, dtypes=REAL)

    def vjp(self, g: Handle, y: Handle, x: Handle, **attrs: Any) -> Gradient:
        return F.zeros_like(g)


@define_op
class Floor(Rounding):
    """Largest integer not above."""

    idempotent = True

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.floor(x) if k.dtype(x).is_floating else x


@define_op
class Ceil(Rounding):
    """Smallest integer not below."""

    idempotent = True

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.ceil(x) if k.dtype(x).is_floating else x


@define_op
class Trunc(Rounding):
    """Nearest integer towards zero."""

    idempotent = True
    aliases = ("fix",)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return k.trunc(x) if k.dtype(x).is_floating else x


@define_op
class Round(Rounding):
    """Nearest integer, halves to the even one; with `decimals`, nearest multiple of 10 ** -decimals."""

    signature = "(input: Tensor, *, decimals: int = 0)"
    samples = samples(*Rounding.samples(), call(A((3, 5), -99, 99), decimals=1), call(A((3, 5), -99, 99), decimals=-1))

    def scalar(self, k: Scalars, x: Scalar, decimals: int) -> Scalar:
        if not k.dtype(x).is_floating:
            return x
        scale = 10.0 ** abs(decimals)
        if decimals > 0:
            return k.round(x * scale) / scale
        return k.round(x / scale) * scale if decimals < 0 else k.round(x)


@define_op
class Frac(Pointwise):
    """Fractional part, with the sign of the element."""

    accepts = "f"
    inplace = True
    samples = unary(0.1, 0.9)

    def eager(self, x: np.ndarray) -> Any:
        return x - np.trunc(x)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        return x - k.trunc(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return g
