"""The affine map of a linear layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import DTypeError, ShapeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal, equal_shapes, type_of
from tracegraph.ops.kinds import Composite
from tracegraph.ops.kinds.batching import passed_input
from tracegraph.ops.matrices.matmul import multiply
from tracegraph.ops.numerics.scalar import cast_array


@define_op
class Linear(Composite):
    """x @ weight^T + bias: `input` [..., in], `weight` [out, in] or [in], `bias` [out]."""

    signature = "(input: Tensor, weight: Tensor, bias: OptionalTensor = None)"
    method = False
    shape_only = ("bias",)
    autocast = Autocast.LOW
    samples = samples(
        call(A((3, 4)), A((5, 4)), A((5,))),
        call(A((3, 4)), A((5, 4))),
        call(A((4,)), A((5, 4)), A((5,))),
        call(A((2, 3, 4)), A((5, 4)), A((5,))),
        call(A((0, 4)), A((5, 4)), A((5,))),
        call(A((3, 4)), A((4,))),
    )
    batched = passed_input

    def infer(self, *operands: object, **attrs: object) -> tuple[TensorType, ...]:
        x, weight, bias = operands
        check_linear(x, weight, bias)
        assert isinstance(x, TensorType) and isinstance(weight, TensorType)
        return (TensorType(x.dtype, (*x.shape[:-1], *weight.shape[:-1])),)

    def eager(self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        check_linear(type_of(x), type_of(weight), None if bias is None else type_of(bias))
        dtype = dtypes.from_numpy(x.dtype)
        result = np.asarray(multiply(cast_array(x, dtype.compute), cast_array(weight, dtype.compute).T))
        if bias is not None:
            np.add(result, cast_array(bias, dtype.compute), out=result)
        return cast_array(result, dtype)

    def decompose(self, x: Handle, weight: Handle, bias: Handle | None) -> Handle:
        check_linear(x, weight, bias)
        result = x.matmul(weight.transpose(0, 1) if weight.ndim == 2 else weight)
        return result if bias is None else result + bias

    def vjp(self, g: Handle, y: Handle, x: Handle, weight: Handle, bias: Handle | None) -> Gradient:
        if weight.ndim == 1:
            g = g.unsqueeze(-1)
        return (
            lambda: g.matmul(weight if weight.ndim == 2 else weight.unsqueeze(0)),
            lambda: _rows(g).transpose(0, 1).matmul(_rows(x)).reshape(tuple(weight.shape)),
            None if bias is None else lambda: _rows(g).sum(0).reshape(tuple(bias.shape)),
        )


def _rows(x: Handle) -> Handle:
    """[..., n] as a matrix [rows, n]."""
    return x if x.ndim == 2 else x.reshape((dims.product(tuple(x.shape[:-1])), x.shape[-1]))


def check_linear(x: Any, weight: Any, bias: Any) -> None:
    """Check the shapes and dtypes of three handles or types.

    Raises:
        ShapeError, DTypeError: they do not fit.
    """
    if not x.shape or len(weight.shape) not in (1, 2):
        raise ShapeError(
            f"linear: input {describe(x)} needs a last dimension of features and weight {describe(weight)} the "
            "dimensions [out_features, in_features]"
        )
    if not equal(x.shape[-1], weight.shape[-1]):
        raise ShapeError(
            f"linear: input {describe(x)} has {x.shape[-1]} features in its last dimension, "
            f"weight {describe(weight)} expects {weight.shape[-1]}"
        )
    if bias is not None and not equal_shapes(tuple(bias.shape), tuple(weight.shape[:-1])):
        raise ShapeError(
            f"linear: bias {describe(bias)} does not fit weight {describe(weight)}; it must have shape "
            f"{list(weight.shape[:-1])}"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.dtype is not x.dtype:
            raise DTypeError(
                f"linear: input {describe(x)} and {name} {describe(t)} differ in dtype; convert one with .to(...)"
            )
