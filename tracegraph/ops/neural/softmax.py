"""Softmax and its kin: normalised exponentials along one dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, type_of
from tracegraph.ops.kinds import Composite
from tracegraph.ops.kinds.batching import along_dims
from tracegraph.ops.numerics.scalar import cast_array

SAMPLES = samples(
    call(A((3, 5)), 1),
    call(A((3, 5)), 0),
    call(A((2, 3, 4)), -2),
    call(A((67,), -20, 20), 0),
    call(A(()), 0),
    call(A((0, 4)), 1),
    call(A((3, 0)), 1),
    call(A((3, 5)), 1, dtype="float64", differentiable=False),
)


class SoftmaxLike(Composite):
    """Common ground: input floating or converted by `dtype`; 16-bit floats are computed in float32."""

    signature = "(input: Tensor, dim: dim, dtype: OptionalDtype = None)"
    samples = SAMPLES
    batched = along_dims

    def result_dtype(self, x: Any, dtype: DType | None) -> DType:
        wanted = dtype or x.dtype
        if not wanted.is_floating:
            raise DTypeError(f"{self.name}: not defined for {describe(x)}; convert it, or pass dtype=float32")
        return wanted

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        return (x.with_dtype(self.result_dtype(x, attrs["dtype"])),)

    def eager(self, x: np.ndarray, *, dim: int, dtype: DType | None) -> np.ndarray:
        wanted = self.result_dtype(type_of(x), dtype)
        values = cast_array(x, wanted.compute)
        if not values.size:
            return np.empty(x.shape, wanted.np)
        axis = dim if x.ndim else None
        return cast_array(np.asarray(self.normalise(values, axis)), wanted)

    def normalise(self, x: np.ndarray, axis: int | None) -> np.ndarray:
        """The eager rule on a non-empty array of the compute dtype."""
        shifted = x - x.max(axis=axis, keepdims=True)
        exponentials = np.exp(shifted, out=np.asarray(shifted))
        exponentials /= exponentials.sum(axis=axis, keepdims=True)
        return exponentials

    def operand(self, x: Handle, dtype: DType | None) -> Handle:
        """The input in the dtype computed in."""
        return x.to(self.result_dtype(x, dtype)).to(self.result_dtype(x, dtype).compute)


def shifted(x: Handle, dim: int) -> Handle:
    """x minus its maximum along `dim`, so that no exponential overflows."""
    if x.ndim and dims.same(x.shape[dim], 0):
        return x
    return x - x.amax(dim, keepdim=True)


@define_op
class Softmax(SoftmaxLike):
    """exp(x) / sum(exp(x)) along `dim`, safe against overflow."""

    def decompose(self, x: Handle, *, dim: int, dtype: DType | None) -> Handle:
        exponentials = shifted(self.operand(x, dtype), dim).exp()
        return (exponentials / exponentials.sum(dim, keepdim=True)).to(self.result_dtype(x, dtype))

    def vjp(self, g: Handle, y: Handle, x: Handle, *, dim: int, dtype: Any) -> Gradient:
        g, y = g.to(y.dtype.compute), y.to(y.dtype.compute)
        product = g * y
        return product - y * product.sum(dim, keepdim=True)


@define_op
class LogSoftmax(SoftmaxLike):
    """x - log(sum(exp(x))) along `dim`: the logarithm of `softmax`, accurate where that underflows."""

    def normalise(self, x: np.ndarray, axis: int | None) -> np.ndarray:
        shifted = np.asarray(x - x.max(axis=axis, keepdims=True))
        shifted -= np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
        return shifted

    def decompose(self, x: Handle, *, dim: int, dtype: DType | None) -> Handle:
        values = shifted(self.operand(x, dtype), dim)
        return (values - values.exp().sum(dim, keepdim=True).log()).to(self.result_dtype(x, dtype))

    def vjp(self, g: Handle, y: Handle, x: Handle, *, dim: int, dtype: Any) -> Gradient:
        g, y = g.to(y.dtype.compute), y.to(y.dtype.compute)
        return g - y.exp() * g.sum(dim, keepdim=True)


@define_op
class Softmin(Composite):
    """Softmax of the negated input."""

    signature = "(input: Tensor, dim: dim, dtype: OptionalDtype = None)"
    method = False
    samples = samples(call(A((3, 5)), 1))

    def decompose(self, x: Handle, *, dim: int, dtype: DType | None) -> Handle:
        return (-x).softmax(dim, dtype)
