"""What writes to its operands: the one mutating op, and the in-place methods made of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ReadOnlyError, ShapeError, VmapError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import equal
from tracegraph.ops.kinds import Derived, Effect, Pointwise
from tracegraph.ops.kinds.batching import Batch
from tracegraph.ops.numerics.scalar import Scalars, cast_array


@define_op
class CopyInto(Effect):
    """Write the elements of `src`, broadcast and converted to the dtype of `input`, into `input`; returns `input`.

    Raises:
        ShapeError: `src` does not broadcast to the shape of `input`, or elements of `input` share memory.
        ReadOnlyError: `input` shares the memory of a read-only numpy array.
    """

    name = "copy_"
    signature = "(input: Tensor, src: Tensor, non_blocking: bool = False)"
    mutates = (0,)
    shape_only = ("src",)
    samples = samples(
        call(A((3, 4)), A((3, 4)), dtypes=dtypes.ALL),
        call(A((3, 4)), A((4,), dtype=dtypes.int64)),
        call(A(()), A(())),
    )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        super().__call__(*args, **kwargs)
        return args[0] if args else kwargs["input"]

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        target = operands[0]
        is_empty = any(isinstance(n, int) and n == 0 for n in target.shape)  # its strides may well be 0
        if not is_empty and any(
            isinstance(s, int) and s == 0 and n != 1 for s, n in zip(target.stride(), target.shape, strict=True)
        ):
            raise ShapeError(
                f"copy_: the tensor written to, of shape {list(target.shape)}, is expanded: several of its elements "
                "share one place in memory; clone() it first"
            )
        return operands, {}  # non_blocking means nothing on a CPU

    def infer(self, target: TensorType, source: TensorType) -> tuple[TensorType, ...]:
        check_broadcasts("copy_", source.shape, target.shape)
        return ()

    def run(self, target: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, ...]:
        check_broadcasts("copy_", source.shape, target.shape)
        check_writable(target)
        target[...] = cast_array(source, dtypes.from_numpy(target.dtype))
        return ()

    def batched(self, batch: Batch) -> None:
        """
        Raises:
            VmapError: what differs from sample to sample would be written to what does not.
        """
        target, source = batch.types
        if not batch.varies[0]:
            raise VmapError(
                f"vmap: a write in place to a tensor of shape {list(target.shape)} that is the same for all samples, "
                "of elements that differ from sample to sample; write out of place, or make the tensor of an argument "
                "(x.new_zeros(...), x.clone())"
            )
        check_broadcasts("copy_", source.shape, target.shape)
        batch.call([batch.operands[0], batch.padded(1, target.ndim)])

    def vjp(self, g: Handle, y: Handle, target: Handle, src: Handle) -> Gradient:
        return None, lambda: g.sum_to_size(tuple(src.shape))


class Overwritten(Pointwise):
    """Base: the elements of `source`, out of place what a write makes of `input`.

    Writes give it operands of one shape and dtype; like all of its kind it broadcasts.
    """

    method = False
    signature = "(input: Tensor, source: Tensor)"
    shape_only = ("x", "source")
    samples = samples(
        call(A((3, 4)), A((3, 4)), dtypes=dtypes.ALL),
        call(A(()), A(())),
        call(A((4,)), A((3, 1))),
        call(A((3, 1)), A((4,))),
    )

    def scalar(self, k: Scalars, x: Scalar, source: Scalar) -> Scalar:
        return source

    def eager(self, x: np.ndarray, source: np.ndarray) -> Any:
        return np.broadcast_to(source, np.broadcast_shapes(x.shape, source.shape)).copy()


@define_op
class CopyElements(Overwritten):
    """The elements of `source` with the history of both operands: what `copy_` makes of its target, out of place.

    No gradient reaches `input`.
    """

    def vjp(self, g: Handle, y: Handle, x: Handle, source: Handle) -> Gradient:
        return None, g


@define_op
class ReplaceElements(Overwritten):
    """The elements of `source` with the history of `input`: what a write outside grad mode makes of a tensor.

    The gradient goes to `input` as if nothing had been written.
    """

    gradient_is_slope = False

    def vjp(self, g: Handle, y: Handle, x: Handle, source: Handle) -> Gradient:
        return g, None


@define_op
class ReadInBackward(Overwritten):
    """What gradient formulas that read `input` read in its place: the elements of `source`, with its history.

    So they do where the memory of `input` has other elements by then, and no version counter tells of it, as it is with
    writes through `Tensor.data`.
    """

    read_for = 0
    gradient_is_slope = False

    def vjp(self, g: Handle, y: Handle, x: Handle, source: Handle) -> Gradient:
        return g, None


def check_broadcasts(op: str, source: tuple[Dim, ...], target: tuple[Dim, ...]) -> None:
    """Check that `source` broadcasts to `target`.

    Raises:
        ShapeError: it does not.
    """
    if dims.same_shape(source, target):
        return
    if not all(map(equal, broadcast_shapes(source, target, op=op), target)) or len(source) > len(target):
        raise ShapeError(f"{op}: shape {list(source)} does not broadcast to the shape {list(target)} written to")


def check_writable(target: np.ndarray) -> None:
    """Check that the elements of a tensor may be written to.

    Raises:
        ReadOnlyError: they are those of a read-only numpy array.
    """
    if not target.flags.writeable:
        error = ReadOnlyError(
            f"copy_: the tensor written to, {dtypes.from_numpy(target.dtype).name}{list(target.shape)}, shares the "
            "memory of a read-only numpy array (see from_numpy); clone() it first"
        )
        error.memory = target
        raise error


@define_op
class FillInPlace(Derived):
    """Set every element to `value`, a number or a 0-d tensor; returns the tensor."""

    name = "fill_"
    signature = "(input: Tensor, value: Number)"
    samples = samples(call(A((3, 4)), 2, dtypes=dtypes.ALL), call(A((3, 4)), A(())))

    def decompose(self, x: Handle, value: Handle) -> Handle:
        if not is_tensor(value):
            value = x.new_full((), value)
        elif value.ndim:
            raise ShapeError(f"fill_: value must be a number or a 0-d tensor, got shape {list(value.shape)}")
        return x.copy_(value)


@define_op
class ZeroInPlace(Derived):
    """Set every element to 0; returns the tensor."""

    name = "zero_"
    samples = samples(call(A((3, 4)), dtypes=dtypes.ALL))

    def decompose(self, x: Handle) -> Handle:
        return x.fill_(0)


@define_op
class FillDiagonalInPlace(Derived):
    """Write `fill_value` to the diagonal of a matrix, or of a tensor with equal sizes; returns the tensor.

    With `wrap` the diagonal of a tall matrix begins again below its end.
    """

    name = "fill_diagonal_"
    signature = "(input: Tensor, fill_value: number, wrap: bool = False)"
    samples = samples(call(A((3, 4)), 1.5), call(A((7, 2)), 2, True), call(A((2, 2, 2)), 0))

    def decompose(self, x: Handle, *, fill_value: Any, wrap: bool) -> Handle:
        if x.ndim < 2 or (x.ndim > 2 and not all(equal(n, x.shape[0]) for n in x.shape)):
            raise ShapeError(f"fill_diagonal_: shape {list(x.shape)} must be that of a matrix, or of equal sizes")
        period = x.shape[1] + 1 if wrap and x.ndim == 2 else None
        rows = F.arange(x.shape[0])
        if period is not None:
            rows = rows % period
        on_diagonal = None
        for axis in range(1, x.ndim):
            same = rows.reshape((-1, *(1,) * (x.ndim - 1))) == F.arange(x.shape[axis]).reshape(
                (-1, *(1,) * (x.ndim - axis - 1))
            )
            on_diagonal = same if on_diagonal is None else on_diagonal & same
        return x.copy_(F.masked_fill(x, on_diagonal, fill_value))
