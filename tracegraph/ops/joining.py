"""Tensors made of several tensors: concatenated and stacked."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ShapeError
from tracegraph.ir import TensorType
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.binding import normalize_dim
from tracegraph.ops.definition import Gradient, Handle, define_op
from tracegraph.ops.kinds import Element
from tracegraph.ops.promotion import result_type
from tracegraph.ops.samples import A, call, samples
from tracegraph.ops.scalar import cast_array
from tracegraph.ops.shapes import describe, equal, type_of


@define_op
class Cat(Element):
    """The tensors one after the other along `dim`, in their common dtype.

    Empty 1-d tensors are left out, whatever the shape of the others.

    Raises:
        ShapeError: the tensors differ in another dimension than `dim`.
    """

    aliases = ("concat", "concatenate")
    signature = "(tensors: Tensors, dim: dim = 0)"
    method = False
    shape_only = ("tensors",)
    samples = samples(
        call([A((2, 3)), A((4, 3))], dtypes=dtypes.ALL),
        call([A((2, 3)), A((2, 1)), A((2, 2))], 1),
        call([A((2, 3)), A((2, 4), dtype=dtypes.int64)], -1),
        call([A((0,)), A((2, 3))]),
        call([A((67,))]),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        kept = tuple(t for t in operands if not _is_skipped(t.shape)) or operands[:1]
        if not kept[0].ndim:
            raise ShapeError("cat: a 0-d tensor cannot be concatenated; use stack")
        if kept[0].ndim != operands[0].ndim:  # dim was counted for the rank of a tensor that is left out
            attrs = {"dim": normalize_dim("cat", "dim", attrs["dim"], kept[0].ndim)}
        return kept, attrs

    def infer(self, *tensors: TensorType, dim: int) -> tuple[TensorType, ...]:
        first = tensors[0]
        total: Dim = 0
        for i, t in enumerate(tensors):
            fits = t.ndim == first.ndim and all(
                d == dim or equal(a, b) for d, (a, b) in enumerate(zip(t.shape, first.shape, strict=True))
            )
            if not fits:
                raise ShapeError(
                    f"cat: tensors[{i}] is {describe(t)}, tensors[0] is {describe(first)}; sizes must be equal in "
                    f"every dimension but {dim}"
                )
            total = total + t.shape[dim]
        return (TensorType(result_type(*tensors), (*first.shape[:dim], total, *first.shape[dim + 1 :])),)

    def eager(self, *tensors: np.ndarray, dim: int) -> np.ndarray:
        if len(tensors) > 1:
            (result,) = self.infer(*map(type_of, tensors), dim=dim)
            tensors = tuple(cast_array(t, result.dtype) for t in tensors)
        return np.concatenate(tensors, axis=dim)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        dim, dtype = attrs["dim"], result_type(*types)
        i = index[dim]
        here = k.index_scalar(i)
        starts: list[Dim] = [0]
        for t in types:
            assert isinstance(t, TensorType)
            starts.append(starts[-1] + t.shape[dim])
        result: Scalar = None
        for operand in reversed(range(len(types))):
            mask = (here >= k.index_scalar(starts[operand])) & (here < k.index_scalar(starts[operand + 1]))
            place = (*index[:dim], i - starts[operand], *index[dim + 1 :])
            value = k.cast(load(operand, place, mask=mask), dtype)
            result = value if result is None else k.where(mask, value, result)
        return result

    def vjp(self, g: Handle, y: Handle, *tensors: Handle, dim: int) -> Gradient:
        gradients = []
        start: Dim = 0
        for t in tensors:
            gradients.append(lambda start=start, size=t.shape[dim]: F.narrow(g, dim, start, size))
            start = start + t.shape[dim]
        return tuple(gradients)


def _is_skipped(shape: tuple[Dim, ...]) -> bool:
    """PyTorch lets `cat([])`-like accumulators start from an empty 1-d tensor."""
    return len(shape) == 1 and isinstance(shape[0], int) and shape[0] == 0
