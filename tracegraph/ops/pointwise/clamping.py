"""The larger or smaller of two elements, and limits."""

from __future__ import annotations

import operator
from typing import Any, ClassVar

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ArgumentError
from tracegraph.ir.rules import Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import REAL, A, binary, call, samples
from tracegraph.ops.kinds import Derived, Pointwise
from tracegraph.ops.numerics.scalar import Scalars


def _share(g: Handle, a: Handle, b: Handle) -> Gradient:
    """The gradient of an operand that wins where a > b: all of it there, half at a tie, none below, all with nan."""
    return F.where(a < b, 0, F.where(a == b, g / 2, g))


class Choice(Pointwise):
    """Base: one of two elements, by their order."""

    signature = "(input: Tensor, other: Tensor)"
    samples = binary(dtypes=dtypes.ALL, number=None)


@define_op
class Maximum(Choice):
    """The larger element, nan if either is nan; a tie divides the gradient.

    Of zeros of both signs either may be taken.
    """

    zero_signs = False

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.maximum(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return k.maximum(x, y)

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return lambda: _share(g, a, b), lambda: _share(g, b, a)


@define_op
class Minimum(Choice):
    """The smaller element, nan if either is nan; a tie divides the gradient.

    Of zeros of both signs either may be taken.
    """

    zero_signs = False

    def eager(self, x: np.ndarray, y: np.ndarray) -> Any:
        return np.minimum(x, y)

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        return k.minimum(x, y)

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return lambda: _share(g, b, a), lambda: _share(g, a, b)


class ChoiceOfNumbers(Choice):
    """Base: one of two elements, ignoring nan unless both are; a tie gives the gradient to the first."""

    #: whether the first of two numbers is taken; asked of scalars and of handles
    comes_first: ClassVar[staticmethod[[Any, Any], Any]]

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        first = self.comes_first(x, y)
        return k.where(first | k.isnan(y) if k.dtype(y).is_floating else first, x, y)

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        first = self.comes_first(a, b) | b.isnan()
        return lambda: g.masked_fill(first.logical_not(), 0), lambda: g.masked_fill(first, 0)


@define_op
class Fmax(ChoiceOfNumbers):
    """The larger element, ignoring nan unless both are; a tie gives the gradient to the first."""

    comes_first = staticmethod(operator.ge)


@define_op
class Fmin(ChoiceOfNumbers):
    """The smaller element, ignoring nan unless both are; a tie gives the gradient to the first."""

    comes_first = staticmethod(operator.le)


# --------------------------------------------------------------------------------------------- clamp


@define_op
class Clamp(Pointwise):
    """Elements limited to [min, max]; nan stays nan, and `max` wins where the limits cross.

    The limits are numbers or tensors, and one may be left out. At a limit the gradient still goes to the input. Of
    zeros of both signs either may be taken.
    """

    zero_signs = False
    idempotent = True
    aliases = ("clip",)
    signature = "(input: Tensor, min: OptionalNumber = None, max: OptionalNumber = None)"
    accepts = "if"
    element_numbers = (1, 2)
    inplace = True
    recompute_cost = 2
    samples = samples(
        call(A((3, 5)), -1, 1, dtypes=tuple(d for d in REAL if d.is_signed)),
        call(A((67,)), 0.5),
        call(A((67,)), max=0.5),
        call(A((4, 1, 3)), A((2, 1), -2, 0), A((3,), 0, 2)),
        call(A(()), -0.5, A(())),
        call(A((0, 4)), 0, 1, dtypes=REAL),
        call(A((3, 5)), 1, dtypes=REAL),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if operands[1] is None and operands[2] is None:
            raise ArgumentError("clamp: at least one of min and max must be given")
        return operands, attrs

    def scalar(self, k: Scalars, x: Scalar, low: Scalar, high: Scalar) -> Scalar:
        if low is not None:
            x = k.maximum(x, low)
        return x if high is None else k.minimum(x, high)

    def vjp(self, g: Handle, y: Handle, x: Handle, low: Handle, high: Handle) -> Gradient:
        def to_input() -> Handle:
            inside = x <= high if low is None else x >= low if high is None else (x >= low) & (x <= high)
            return F.where(inside, g, 0)

        def to_low() -> Handle:
            below = x < low if high is None else (x < low) & (low < high)
            return F.where(below, g, 0)

        def to_high() -> Handle:
            above = x > high if low is None else (x > high) | (high < low)
            return F.where(above, g, 0)

        return to_input, to_low, to_high


@define_op
class ClampMin(Derived):
    """Elements raised to `min` where they are below."""

    signature = "(input: Tensor, min: Number)"
    inplace = True
    samples = samples(call(A((3, 5)), 0.5), call(A((3, 5)), A((5,))))

    def decompose(self, x: Handle, low: Handle) -> Handle:
        return x.clamp(low)


@define_op
class ClampMax(Derived):
    """Elements lowered to `max` where they are above."""

    signature = "(input: Tensor, max: Number)"
    inplace = True
    samples = samples(call(A((3, 5)), 0.5), call(A((3, 5)), A((5,))))

    def decompose(self, x: Handle, high: Handle) -> Handle:
        return x.clamp(None, high)
