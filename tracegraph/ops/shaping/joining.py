"""Several tensors together: concatenated, stacked, broadcast, spread over a grid."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.canonical import normalize_dim
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.promotion import broadcast_shapes, result_type
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal, type_of
from tracegraph.ops.kinds import Derived, Element
from tracegraph.ops.kinds.batching import Batch
from tracegraph.ops.numerics.scalar import cast_array


@define_op
class Cat(Element):
    """The tensors one after the other along `dim`, in their common dtype.

    Empty 1-d tensors are left out, whatever the shape of the others.

    Raises:
        ShapeError: the tensors differ in another dimension than `dim`.
    """

    aliases = ("concat", "concatenate")
    signature = "(tensors: Tensors, dim: int = 0)"
    method = False
    shape_only = ("tensors",)
    autocast = Autocast.WIDEST
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
        return kept, {"dim": normalize_dim("cat", "dim", attrs["dim"], kept[0].ndim)}

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

    def batched(self, batch: Batch) -> Handle:
        return batch.call(batch.every(), dim=batch.attrs["dim"] + 1)

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


@define_op
class Stack(Derived):
    """The tensors, all of one shape, one after the other along a new dimension `dim`.

    Raises:
        ShapeError: their shapes differ.
    """

    signature = "(tensors: Tensors, dim: int = 0)"
    method = False
    autocast = Autocast.WIDEST
    samples = samples(
        call([A((2, 3)), A((2, 3))], dtypes=dtypes.ALL), call([A((2, 3)), A((2, 3))], -1), call([A(()), A(())])
    )

    def decompose(self, *tensors: Handle, dim: int) -> Handle:
        first = tensors[0]
        for i, t in enumerate(tensors):
            if t.ndim != first.ndim or not all(map(equal, t.shape, first.shape)):
                raise ShapeError(
                    f"stack: tensors must have equal shapes, tensors[{i}] is {describe(t)}, tensors[0] "
                    f"{describe(first)}"
                )
        dim = normalize_dim("stack", "dim", dim, first.ndim + 1)
        return F.cat([F.unsqueeze(t, dim) for t in tensors], dim)


class AtLeast(Derived):
    """A tensor with as many dimensions as `rank` says, or more."""

    method = False
    rank: ClassVar[int]

    def decompose(self, x: Handle) -> Handle:
        if x.ndim >= self.rank:
            return x
        # PyTorch puts a vector in the middle of three dimensions, and a matrix in front
        after = self.rank - max(x.ndim, 2) if self.rank == 3 else 0
        for _ in range(after):
            x = F.unsqueeze(x, -1)
        while x.ndim < self.rank:
            x = F.unsqueeze(x, 0)
        return x


@define_op
class AtLeast1d(AtLeast):
    """A 0-d tensor as a vector; others as they are."""

    name = "atleast_1d"
    samples = samples(call(A(())), call(A((2, 3))))
    rank = 1


@define_op
class AtLeast2d(AtLeast):
    """A tensor of fewer than 2 dimensions as a matrix of one row; others as they are."""

    name = "atleast_2d"
    samples = samples(call(A(())), call(A((3,))), call(A((2, 3, 4))))
    rank = 2


@define_op
class AtLeast3d(AtLeast):
    """A tensor of fewer than 3 dimensions with such of size 1 added; others as they are."""

    name = "atleast_3d"
    samples = samples(call(A(())), call(A((3,))), call(A((2, 3))))
    rank = 3


@define_op
class Hstack(Derived):
    """The tensors side by side: along dimension 1, vectors along 0."""

    signature = "(tensors: Tensors)"
    method = False
    samples = samples(call([A((3,)), A((2,))]), call([A((2, 3)), A((2, 1))]), call([A(()), A(())]))

    def decompose(self, *tensors: Handle) -> Handle:
        raised = [F.atleast_1d(t) for t in tensors]
        return F.cat(raised, 0 if raised[0].ndim == 1 else 1)


@define_op
class Vstack(Derived):
    """The tensors one below the other, vectors as rows."""

    aliases = ("row_stack",)
    signature = "(tensors: Tensors)"
    method = False
    samples = samples(call([A((3,)), A((3,))]), call([A((2, 3)), A((1, 3))]))

    def decompose(self, *tensors: Handle) -> Handle:
        return F.cat([F.atleast_2d(t) for t in tensors], 0)


@define_op
class Dstack(Derived):
    """The tensors one behind the other, along dimension 2."""

    signature = "(tensors: Tensors)"
    method = False
    samples = samples(call([A((3,)), A((3,))]), call([A((2, 3)), A((2, 3))]))

    def decompose(self, *tensors: Handle) -> Handle:
        return F.cat([F.atleast_3d(t) for t in tensors], 2)


@define_op
class ColumnStack(Derived):
    """The tensors side by side along dimension 1, vectors as columns."""

    signature = "(tensors: Tensors)"
    method = False
    samples = samples(call([A((3,)), A((3, 2))]), call([A(()), A(())]))

    def decompose(self, *tensors: Handle) -> Handle:
        return F.cat([t if t.ndim > 1 else F.reshape(t, (-1, 1)) for t in tensors], 1)


class SpreadTensors(Derived):
    """A function of several tensors, given as a list or one by one, that gives as many."""

    method = False

    def __call__(self, *tensors: Any, **kwargs: Any) -> Any:
        listed = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
        return super().__call__(list(listed), **kwargs)


@define_op
class BroadcastTensors(SpreadTensors):
    """Views of the tensors in the shape they broadcast to."""

    signature = "(tensors: Tensors)"
    samples = samples(call([A((3, 1)), A((4,))]))

    def decompose(self, *tensors: Handle) -> tuple[Handle, ...]:
        size = broadcast_shapes(*(t.shape for t in tensors), op=self.name)
        return tuple(F.expand(t, size) for t in tensors)


@define_op
class Meshgrid(SpreadTensors):
    """Views of the vectors as the coordinates of the grid they span; "xy" exchanges the first two dimensions.

    Raises:
        ShapeError: a tensor has more than one dimension.
        ValueRangeError: `indexing` is neither "ij" nor "xy".
    """

    signature = "(tensors: Tensors, *, indexing: str = 'ij')"
    samples = samples(call([A((3,)), A((4,)), A(())]), call([A((3,)), A((4,))], indexing="xy"))

    def decompose(self, *tensors: Handle, indexing: str) -> tuple[Handle, ...]:
        if indexing not in ("ij", "xy"):
            raise ValueRangeError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
        for i, t in enumerate(tensors):
            if t.ndim > 1:
                raise ShapeError(f"meshgrid: tensors must be vectors, tensors[{i}] is {describe(t)}")
        size = tuple(t.shape[0] if t.ndim else 1 for t in tensors)
        rank = len(tensors)
        grids = tuple(
            F.expand(F.reshape(t, tuple(size[d] if d == i else 1 for d in range(rank))), size)
            for i, t in enumerate(tensors)
        )
        swap = indexing == "xy" and rank > 1
        return tuple(F.transpose(g, 0, 1) for g in grids) if swap else grids
