"""Copies with the elements in another order: flipped, rolled, turned."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, IndexRangeError, ShapeError
from tracegraph.ir import TensorType
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index, OperandTypes
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.kinds import Derived, Rearrangement
from tracegraph.ops.kinds.batching import along_dims


@define_op
class Flip(Rearrangement):
    """The elements in reverse order along `dims`."""

    signature = "(input: Tensor, dims: dims)"
    samples = samples(
        call(A((3, 4)), (0,), dtypes=dtypes.ALL), call(A((3, 4)), (0, -1)), call(A((67,)), 0), call(A((0, 2)), 0)
    )
    batched = along_dims

    def infer(self, x: TensorType, *, dims: tuple[int, ...]) -> tuple[TensorType, ...]:
        return (x,)

    def eager(self, x: np.ndarray, *, dims: tuple[int, ...]) -> np.ndarray:
        return np.flip(x, dims).copy() if x.ndim else x.copy()

    def index_map(self, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]) -> tuple[Index, ...]:
        (x,) = types
        assert isinstance(x, TensorType)
        return tuple(
            n - 1 - i if d in attrs["dims"] else i for d, (i, n) in enumerate(zip(index, x.shape, strict=True))
        )

    def vjp(self, g: Handle, y: Handle, x: Handle, *, dims: tuple[int, ...]) -> Gradient:
        return F.flip(g, dims)


@define_op
class Fliplr(Derived):
    """The elements in reverse order along dimension 1."""

    samples = samples(call(A((3, 4))))

    def decompose(self, x: Handle) -> Handle:
        if x.ndim < 2:
            raise ShapeError(f"fliplr: needs at least 2 dimensions, got shape {list(x.shape)}")
        return F.flip(x, (1,))


@define_op
class Flipud(Derived):
    """The elements in reverse order along dimension 0."""

    samples = samples(call(A((3, 4))))

    def decompose(self, x: Handle) -> Handle:
        if not x.ndim:
            raise ShapeError("flipud: needs at least 1 dimension, got a 0-d tensor")
        return F.flip(x, (0,))


@define_op
class Roll(Rearrangement):
    """The elements moved by `shifts` places along `dims`, those pushed out at the end coming in at the start.

    Without `dims` the tensor is rolled as if flat.

    Raises:
        ArgumentError: not as many shifts as dims.
    """

    signature = "(input: Tensor, shifts: ints, dims: dims = None)"
    samples = samples(
        call(A((3, 4)), 1, 0, dtypes=dtypes.ALL),
        call(A((3, 4)), (1, -6), (0, 1)),
        call(A((3, 4)), 5),
        call(A((0, 2)), 1, 0),
    )
    batched = along_dims

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        (x,), attrs = self.binder.bind(args, kwargs)
        if attrs["dims"] is None:
            return super().__call__(F.reshape(x, (-1,)), attrs["shifts"], 0).reshape(x.shape)
        return super().__call__(x, **attrs)

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not operands[0].ndim:
            raise IndexRangeError(f"roll: dims={list(attrs['dims'])}, but the tensor has no dimensions")
        if len(attrs["shifts"]) != len(attrs["dims"]):
            raise ArgumentError(f"roll: shifts={list(attrs['shifts'])} and dims={list(attrs['dims'])} must align")
        return operands, attrs

    def infer(self, x: TensorType, *, shifts: tuple[Dim, ...], dims: tuple[int, ...]) -> tuple[TensorType, ...]:
        return (x,)

    def eager(self, x: np.ndarray, *, shifts: tuple[int, ...], dims: tuple[int, ...]) -> np.ndarray:
        return np.roll(x, shifts, dims)

    def index_map(self, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]) -> tuple[Index, ...]:
        (x,) = types
        assert isinstance(x, TensorType)
        position = list(index)
        for shift, d in zip(attrs["shifts"], attrs["dims"], strict=True):
            position[d] = (position[d] - shift) % x.shape[d]
        return tuple(position)

    def vjp(self, g: Handle, y: Handle, x: Handle, *, shifts: tuple[Dim, ...], dims: tuple[int, ...]) -> Gradient:
        return F.roll(g, tuple(-s for s in shifts), dims)


@define_op
class Rot90(Derived):
    """Turned by `k` right angles, from the first of `dims` towards the second."""

    signature = "(input: Tensor, k: int = 1, dims: dims = (0, 1))"
    samples = samples(call(A((3, 4))), call(A((2, 3, 4)), 2, (1, 2)), call(A((3, 4)), -1), call(A((3, 4)), 4))

    def decompose(self, x: Handle, *, k: int, dims: tuple[int, ...]) -> Handle:
        if len(dims) != 2:
            raise ArgumentError(f"rot90: dims must name two dimensions, got {list(dims)}")
        first, second = dims
        if k % 4 == 0:
            return F.clone(x)
        if k % 4 == 2:
            return F.flip(x, dims)
        if k % 4 == 1:
            return F.flip(F.transpose(x, first, second), (first,))
        return F.flip(F.transpose(x, first, second), (second,))
