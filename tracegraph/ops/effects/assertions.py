"""Assertions as values of a graph: what a program checks of its elements before it goes on."""

from __future__ import annotations

from tracegraph.dtypes import INTEGER_DTYPES
from tracegraph.ir.rules import Scalar
from tracegraph.ops.core.definition import define_op
from tracegraph.ops.core.samples import unary
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.numerics.scalar import Scalars


@define_op
class AssertTrue(Pointwise):
    """Whether elements are true, that is other than 0, which all of them must be.

    Capture records it for a branch that raises. As nothing may use the result, it is computed for the check.

    Raises:
        ElementError: an element is false.
    """

    method = False
    promotion = "bool"
    checks_elements = True
    samples = unary(1, 3, dtypes=INTEGER_DTYPES)

    def scalar(self, k: Scalars, x: Scalar) -> Scalar:
        is_true = x if k.dtype(x).is_bool else x != 0
        k.check(is_true, f"{self.name}: an element is false")
        return is_true
