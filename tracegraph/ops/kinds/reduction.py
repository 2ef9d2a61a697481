"""Reductions over dimensions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError
from tracegraph.ir import Kind, TensorType
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index, Load, OperandTypes, Reduce, Scalar
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.kinds.batching import along_dims
from tracegraph.ops.numerics.quiet import quiet
from tracegraph.ops.numerics.scalar import cast_array


class Reduction(Definition):
    """Combines the elements along `dim` (a dim, several, or None for all); `keepdim` keeps them with size 1.

    Class attributes:
        combine: the combination, a name of `ir.rules.Reduce`.
        accepts: categories of dtypes taken, any of "b", "i", "f".

    Rules:
        result_dtype(self, dtype, attrs): dtype of the result.
        accumulator(self, dtype, attrs): dtype combined in; default: the result's compute dtype.
        pre(self, k, x, attrs), post(self, k, total, count, attrs): scalar rules around the combination.
        eager(self, array, *, dim, keepdim, ...): on numpy; the array has the accumulator's dtype, `dim` is the tuple of
            axes, and the framework casts what comes back.
    """

    kind = Kind.REDUCTION
    signature = "(input: Tensor, dim: dims = None, keepdim: bool = False)"
    combine: ClassVar[str] = "add"
    accepts: ClassVar[str] = "bif"

    def result_dtype(self, dtype: DType, attrs: dict[str, Any]) -> DType:
        return dtype

    def accumulator(self, dtype: DType, attrs: dict[str, Any]) -> DType:
        return self.result_dtype(dtype, attrs).compute

    def pre(self, k: Any, x: Scalar, attrs: dict[str, Any]) -> Scalar:
        return x

    def post(self, k: Any, total: Scalar, count: Dim, attrs: dict[str, Any]) -> Scalar:
        return total

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        if "bif"[x.dtype.category] not in self.accepts:
            raise DTypeError(f"{self.name}({x}): not defined for dtype {x.dtype.long_name}; convert the operand")
        return (TensorType(self.result_dtype(x.dtype, attrs), self.result_shape(x, attrs)),)

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Dims ascending, all of them as None (PyTorch reads [] so, too); a dtype only if asked for."""
        if isinstance(attrs.get("dim"), tuple):
            attrs["dim"] = tuple(sorted(attrs["dim"])) or None
        if attrs.get("dtype", ...) is None:
            del attrs["dtype"]
        return operands, attrs

    batched = along_dims

    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        (array,) = operands
        type = TensorType(dtypes.from_numpy(array.dtype), array.shape)
        (result,) = self.infer(type, **attrs)
        assert self.eager is not None
        with quiet():
            working = cast_array(array, self.accumulator(type.dtype, attrs))
            reduced = self.eager(working, **{**attrs, "dim": reduced_axes(type, attrs)})
        return (cast_array(np.asarray(reduced), result.dtype),)

    def result_shape(self, x: TensorType, attrs: dict[str, Any]) -> tuple[Dim, ...]:
        axes = reduced_axes(x, attrs)
        if attrs.get("keepdim"):
            return tuple(1 if i in axes else d for i, d in enumerate(x.shape))
        return tuple(d for i, d in enumerate(x.shape) if i not in axes)

    def reduce(self, types: OperandTypes, attrs: dict[str, Any]) -> Reduce:
        """The reduce rule."""
        (x,) = types
        assert isinstance(x, TensorType)
        axes = reduced_axes(x, attrs)
        extents = tuple(x.shape[a] for a in axes)
        accumulator = self.accumulator(x.dtype, attrs)
        result = self.result_dtype(x.dtype, attrs)
        keepdim = bool(attrs.get("keepdim"))
        count: Dim = 1
        for e in extents:
            count = count * e

        def term(k: Any, load: Load, index: tuple[Index, ...], inner: tuple[Index, ...]) -> Scalar:
            position = merge_index(len(x.shape), axes, index, inner, keepdim)
            return k.cast(self.pre(k, k.cast(load(0, position), accumulator), attrs), accumulator)

        def finish(k: Any, total: Scalar) -> Scalar:
            return k.cast(self.post(k, total, count, attrs), result)

        return Reduce(extents, self.combine, accumulator, term, finish)


def reduced_axes(x: TensorType, attrs: dict[str, Any]) -> tuple[int, ...]:
    """The axes a reduction runs over, ascending; no `dim` means all."""
    dim = attrs.get("dim")
    if dim is None:
        return tuple(range(x.ndim))
    if isinstance(dim, int):
        dim = (dim,)
    return tuple(sorted(a for a in dim if a < x.ndim))


def merge_index(
    rank: int, axes: tuple[int, ...], outer: tuple[Index, ...], inner: tuple[Index, ...], keepdim: bool
) -> tuple[Index, ...]:
    """The operand's index from the result's index and the index of the reduction domain."""
    reduced = dict(zip(axes, inner, strict=True))
    kept = iter(o for i, o in enumerate(outer) if not (keepdim and i in reduced))
    return tuple(reduced[i] if i in reduced else next(kept) for i in range(rank))


def floating_result(dtype: DType) -> DType:
    """The default dtype (float32) for integers and bools, itself for floats."""
    return dtype if dtype.is_floating else dtypes.DEFAULT.dtype
