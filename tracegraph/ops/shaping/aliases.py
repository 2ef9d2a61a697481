"""Aliases: the elements of a tensor in its memory, with no history or with that of another tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import IRError
from tracegraph.ir import TensorType
from tracegraph.ir.rules import Index, OperandTypes
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.layout import Strides
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.kinds import View
from tracegraph.ops.kinds.batching import passed


class Alias(View):
    """The elements of the first operand, as they are and where they are; all operands are of one type."""

    shares_history = False
    batched = passed

    def infer(self, x: TensorType, *others: TensorType) -> tuple[TensorType, ...]:
        if any(other != x for other in others):
            raise IRError(f"{self.name}: {x} and {others[0]} differ")
        return (x,)

    def eager(self, x: np.ndarray, *others: np.ndarray) -> np.ndarray:
        return x.view()

    def strides(self, strides: Strides, types: OperandTypes, attrs: dict[str, Any]) -> Strides:
        return strides

    def index_map(self, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]) -> tuple[Index, ...]:
        return index

    def scatter(self, base: Handle, source: Handle) -> Handle:
        return F.replace_elements(base, source.detach())


@define_op
class Detach(Alias):
    """The same elements, through which no gradient flows."""

    samples = samples(call(A((3, 4)), dtypes=dtypes.ALL, differentiable=False), call(A(()), differentiable=False))


@define_op
class NoGradView(Detach):
    """The same elements as a view that was made outside grad mode: without history, and with its base's no more.

    In grad mode a write to it is an error, if it or what is written requires grad; so is its use after such a write to
    its base.
    """

    method = False
    is_recorded = False
    samples = samples(call(A((3, 4)), dtypes=dtypes.ALL, differentiable=False), call(A(()), differentiable=False))


@define_op
class TensorData(Detach):
    """The same elements without history and with a version counter of their own: `tensor.data`.

    Backward takes no notice of writes through the result.
    """

    name = "tensor_data"
    method = False
    shares_version = False
    samples = samples(call(A((3, 4)), dtypes=dtypes.ALL, differentiable=False), call(A(()), differentiable=False))


class AliasWithHistory(Alias):
    """An alias of the first operand that has the history of the second, a tensor of the same type."""

    method = False
    gradient_is_slope = False
    samples = samples(call(A((3, 4)), A((3, 4)), dtypes=dtypes.ALL), call(A(()), A(())))

    def vjp(self, g: Handle, y: Handle, x: Handle, history: Handle) -> Gradient:
        return None, g


@define_op
class WithHistory(AliasWithHistory):
    """The elements of `input`, in its memory, with the history of `history`, a tensor of equal elements.

    What `autograd.Function` makes of a result that is an argument, or a view of one: an alias of a history of its own,
    as that of a detached tensor that was written to.
    """

    signature = "(input: Tensor, history: Tensor)"


@define_op
class SetData(AliasWithHistory):
    """`tensor`, a leaf, once it lies in the memory of `input`: what `tensor.data = input` makes of it.

    It has the elements of `input` and the history of `tensor`. In backward, gradient formulas that read it find what it
    holds by then, be they of operations before or after.

    Raises:
        IRError: the two differ in shape or dtype.
    """

    is_pure = False
    rebinds = (1,)
    shares_version = False
    signature = "(input: Tensor, tensor: Tensor)"
