"""Borders around a tensor: of a constant, or of its own elements reflected, repeated or wrapped around.

`pad` lists the widths before and after, the last dimension first, as PyTorch does: (left, right, top, bottom).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.layout import Shape
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.weak_numbers import fitting
from tracegraph.ops.kinds import Derived, Element
from tracegraph.ops.kinds.batching import passed


def _widths(op: str, pad: tuple[Dim, ...], rank: int) -> list[tuple[Dim, Dim]]:
    """(before, after) of every dimension, the first dimension first."""
    if len(pad) % 2:
        raise ShapeError(f"{op}: pad={list(pad)} must hold a width before and one after for each dimension")
    if len(pad) > 2 * rank:
        raise ShapeError(f"{op}: pad={list(pad)} is for {len(pad) // 2} dimensions, the tensor has {rank}")
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    return [(0, 0)] * (rank - len(pairs)) + pairs[::-1]


@define_op
class ConstantPadNd(Element):
    """A border of `value`; a negative width cuts off.

    Raises:
        ShapeError: more widths than dimensions, or more cut off than there is.
    """

    method = False
    signature = "(input: Tensor, pad: ints, value: number = 0)"
    samples = samples(
        call(A((3, 4)), (1, 2), dtypes=dtypes.ALL),
        call(A((3, 4)), (1, 0, 2, 1), 1.5),
        call(A((3, 4)), (-1, 2, 0, -1), -2.0),
        call(A((0, 2)), (0, 0, 1, 0)),
        call(A((67,)), (3, 3)),
    )
    batched = passed

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return operands, {**attrs, "value": fitting(self.name, "value", attrs["value"], operands[0].dtype)}

    def infer(self, x: TensorType, *, pad: tuple[Dim, ...], value: Any) -> tuple[TensorType, ...]:
        return (x.with_shape(self.padded(x.shape, pad)),)

    def vary(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        (x,) = operands
        is_inside = F.constant_pad_nd(F.ones_like(x, dtype=dtypes.bool_), attrs["pad"], False)
        return F.where(is_inside, F.constant_pad_nd(x, attrs["pad"]), attrs["value"])

    def padded(self, shape: Shape, pad: tuple[Dim, ...]) -> Shape:
        """The shape with the border."""
        size = []
        for n, (before, after) in zip(shape, _widths(self.name, pad, len(shape)), strict=True):
            total = n + before + after
            if total < 0:
                raise ShapeError(f"{self.name}: pad={list(pad)} cuts off more than shape {list(shape)} has")
            size.append(total)
        return tuple(size)

    def eager(self, x: np.ndarray, *, pad: tuple[int, ...], value: Any) -> np.ndarray:
        result = np.full(self.padded(x.shape, pad), value, x.dtype)
        inner, outer = [], []
        for n, (before, after) in zip(x.shape, _widths(self.name, pad, x.ndim), strict=True):
            inner.append(slice(max(-before, 0), n - max(-after, 0)))
            outer.append(slice(max(before, 0), max(before, 0) + max(n + min(before, 0) + min(after, 0), 0)))
        result[tuple(outer)] = x[tuple(inner)]
        return result

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        (x,) = types
        assert isinstance(x, TensorType)
        position: list[Index] = []
        inside: Scalar = None
        for i, n, (before, after) in zip(index, x.shape, _widths(self.name, attrs["pad"], x.ndim), strict=True):
            position.append(i - before)
            here = k.index_scalar(i - before)
            for width, condition in ((before, here >= 0), (after, here < k.index_scalar(n))):
                if not dims.same(width, 0):
                    inside = condition if inside is None else inside & condition
        if inside is None:
            return load(0, tuple(position))
        return load(0, tuple(position), mask=inside, fill=attrs["value"])

    def vjp(self, g: Handle, y: Handle, x: Handle, *, pad: tuple[Dim, ...], value: Any) -> Gradient:
        return F.constant_pad_nd(g, tuple(-width for width in pad), 0)


def _reflected(i: Handle, size: Dim) -> Handle:
    last = size - 1
    return last - (last - i.abs()).abs()


def _repeated(i: Handle, size: Dim) -> Handle:
    return F.clamp(i, 0, size - 1)


def _wrapped(i: Handle, size: Dim) -> Handle:
    return i % size


#: what position a position outside stands for, and how much wider than the dimension a border may be
_MODES: dict[str, tuple[Callable[[Handle, Dim], Handle], int | None]] = {
    "reflect": (_reflected, -1),
    "replicate": (_repeated, None),
    "circular": (_wrapped, 0),
}


@define_op
class Pad(Derived):
    """A border: "constant" of `value`, or "reflect", "replicate" or "circular" of the tensor's own elements.

    Raises:
        ValueRangeError: an unknown mode.
        ShapeError: the border is wider than the elements it is made of.
    """

    method = False
    signature = "(input: Tensor, pad: ints, mode: str = 'constant', value: OptionalNumberAttr = None)"
    samples = samples(
        call(A((3, 4)), (1, 2), dtypes=dtypes.ALL),
        call(A((2, 3, 4)), (1, 2), "reflect"),
        call(A((2, 3, 4)), (5, 2, 1, 0), "replicate"),
        call(A((2, 3, 4)), (4, 1, 0, 3), "circular"),
        call(A((2, 3, 4)), (-1, 2), "reflect"),
    )

    def decompose(self, x: Handle, *, pad: tuple[Dim, ...], mode: str, value: Any) -> Handle:
        if mode == "constant":
            return F.constant_pad_nd(x, pad, 0 if value is None else value)
        if mode not in _MODES:
            raise ValueRangeError(f"pad: mode must be constant, {', '.join(_MODES)}, got {mode!r}")
        place, slack = _MODES[mode]
        for d, (before, after) in enumerate(_widths("pad", pad, x.ndim)):
            if dims.same(before, 0) and dims.same(after, 0):
                continue
            size = x.shape[d]
            for width in (before, after):
                if slack is not None and width > size + slack:
                    raise ShapeError(f"pad: a {mode} border of width {width} does not fit dimension {d} of size {size}")
            i = F.arange(size + before + after) - before
            x = F.index(x, [place(i, size)], dims=(d,), at=d)
        return x
