"""Questions about whole tensors, answered by a Python bool; a traced tensor cannot answer and breaks the graph."""

from __future__ import annotations

from typing import Any

from tracegraph.ir import dim as dims
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import samples
from tracegraph.ops.kinds import Derived


@define_op
class Allclose(Derived):
    """Whether |input - other| <= atol + rtol * |other| holds for all elements."""

    signature = "(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False)"
    samples = samples()  # the generated tests record calls, and these have no graph

    def decompose(self, input: Handle, other: Handle, **attrs: Any) -> bool:
        return bool(input.isclose(other, **attrs).all())


@define_op
class Equal(Derived):
    """Whether two tensors have the same shape and the same elements."""

    signature = "(input: Tensor, other: Tensor)"
    samples = samples()  # the generated tests record calls, and these have no graph

    def decompose(self, input: Handle, other: Handle) -> bool:
        return dims.same_shape(tuple(input.shape), tuple(other.shape)) and bool((input == other).all())
