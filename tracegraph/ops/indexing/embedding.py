"""Rows of a table by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import DTypeError, IndexRangeError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, type_of
from tracegraph.ops.kinds import Element
from tracegraph.ops.kinds.batching import Batch


@define_op
class Embedding(Element):
    """weight[input]: the row of `weight` [rows, features] for each number in `input`.

    The row `padding_idx` gets no gradient.

    Raises:
        IndexRangeError: a number outside [0, rows).
    """

    checks_elements = True
    signature = "(input: Tensor, weight: Tensor, padding_idx: OptionalInt = None)"
    method = False
    # the padding row gets no gradient, so finite differences would not agree
    samples = samples(
        call(A((4,), 0, 5, dtype=dtypes.int64), A((6, 3)), dtypes=dtypes.ALL),
        call(A((2, 3), 0, 5, dtype=dtypes.int64), A((6, 3)), padding_idx=1, differentiable=False),
        call(A((2, 3), 0, 5, dtype=dtypes.int32), A((6, 3)), padding_idx=-1, differentiable=False),
        call(A((), 0, 5, dtype=dtypes.int64), A((6, 3))),
        call(A((0,), 0, 5, dtype=dtypes.int64), A((6, 3))),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        padding, weight = attrs["padding_idx"], operands[1]
        if padding is not None and weight.ndim == 2:
            rows = weight.shape[0]
            if dims.is_static(rows) and not -rows <= padding < rows:
                raise ValueRangeError(
                    f"embedding: padding_idx={padding} is outside the rows of weight {describe(weight)}"
                )
            attrs["padding_idx"] = padding + rows if padding < 0 else padding
        return operands, attrs

    def infer(self, input: TensorType, weight: TensorType, *, padding_idx: Any) -> tuple[TensorType, ...]:
        if not input.dtype.is_integer:
            raise DTypeError(f"embedding: input {input} must hold row numbers of an integer dtype; use .long()")
        if weight.ndim != 2:
            raise ShapeError(f"embedding: weight {weight} must have the dimensions [rows, features]")
        return (weight.with_shape((*input.shape, weight.shape[1])),)

    def eager(self, input: np.ndarray, weight: np.ndarray, *, padding_idx: Any) -> np.ndarray:
        self.infer(type_of(input), type_of(weight), padding_idx=padding_idx)
        if input.size and not 0 <= input.min() <= input.max() < weight.shape[0]:
            raise IndexRangeError(_out_of_range(weight.shape[0]))
        return weight[input]

    def batched(self, batch: Batch) -> Handle:
        """The tables of all samples, one below the other, are one."""
        if batch.only(0):
            return batch.call(batch.operands)
        rows, weight = batch.spread(0), batch.operands[1]
        count, padding = weight.shape[1], batch.attrs["padding_idx"]
        first = F.arange(batch.size) * count
        found = batch.call(
            [rows + first.reshape((-1, *(1,) * batch.rank(0))), F.flatten(weight, 0, 1)], padding_idx=None
        )
        return found if padding is None else F.where((rows == padding).unsqueeze(-1), found.detach(), found)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, object]
    ) -> Scalar:
        weight = types[1]
        assert isinstance(weight, TensorType)
        row = k.as_index(load(0, index[:-1]), weight.shape[0], _out_of_range(weight.shape[0]))
        return load(1, (row, index[-1]))

    def vjp(self, g: Handle, y: Handle, input: Handle, weight: Handle, *, padding_idx: int | None) -> Gradient:
        return None, lambda: embedding_gradient(g, input, weight, padding_idx)

    shape_only = ("weight",)


def embedding_gradient(g: Handle, input: Handle, weight: Handle, padding_idx: int | None) -> Handle:
    """The sum of the cotangents of each row's uses, in the shape of `weight`."""
    rows, features = weight.shape
    count = dims.product(tuple(input.shape))
    numbers = input.to(dtypes.int64).reshape((count,))
    cotangents = g.to(g.dtype.compute).reshape((count, features))
    if padding_idx is not None:
        cotangents = F.where((numbers != padding_idx).unsqueeze(1), cotangents, 0.0)
    return F.zeros((rows, features), dtype=cotangents.dtype).index_add(0, numbers, cotangents)


def _out_of_range(rows: Any) -> str:
    return f"embedding: a number in input is outside [0, {rows}), the rows of weight"
