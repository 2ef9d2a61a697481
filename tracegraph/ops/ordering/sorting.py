"""Sorting and what follows from an order: argsort, topk, kthvalue, median. nan sorts above everything."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import IndexRangeError, ShapeError
from tracegraph.ir import TensorType, lookup
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, type_of
from tracegraph.ops.kinds import Composite, Derived, Library
from tracegraph.ops.kinds.batching import along_dims
from tracegraph.ops.numerics.scalar import cast_array
from tracegraph.ops.reductions.extrema import at_positions, divided
from tracegraph.ops.reductions.reductions import spread


def order(x: np.ndarray, dim: int, descending: bool) -> np.ndarray:
    """Positions that sort `x` along `dim`; equal elements keep their order."""
    keys = cast_array(x, dtypes.from_numpy(x.dtype).compute)
    if not descending:
        return np.argsort(keys, axis=dim, kind="stable")
    # sorting the reversed line and reversing the outcome keeps the order of equals
    last = x.shape[dim] - 1
    return np.flip(last - np.argsort(np.flip(keys, dim), axis=dim, kind="stable"), dim)


@define_op
class Sort(Library):
    """Elements in order along `dim`, and the positions they come from; equal elements keep their order."""

    signature = "(input: Tensor, dim: dim = -1, descending: bool = False, stable: bool = False)"
    result_names = ("values", "indices")
    shape_only = ("x", "values")
    samples = samples(
        call(A((3, 5), distinct=True), dtypes=dtypes.ALL),
        call(A((2, 3, 4), distinct=True), 0, True, dtypes=dtypes.ALL),
        call(A((67,), distinct=True), -1, True),
        call(A(()), 0),
        call(A((0, 4))),
    )
    batched = along_dims

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Every sort is stable."""
        del attrs["stable"]
        return operands, attrs

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        return x, x.with_dtype(dtypes.int64)

    def eager(self, x: np.ndarray, dim: int, descending: bool) -> Any:
        if not x.ndim:
            return x.copy(), np.zeros((), np.int64)
        indices = np.ascontiguousarray(order(x, dim, descending))
        return np.take_along_axis(x, indices, axis=dim), indices

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: int, descending: bool) -> Gradient:
        return scattered(g[0], y[1], x, dim)


def scattered(g: Handle, indices: Handle, x: Handle, dim: int) -> Handle:
    """`g` at the given positions along `dim` of a tensor shaped like `x`, 0 elsewhere."""
    return F.zeros(tuple(x.shape), dtype=g.dtype).scatter(dim, indices, g) if x.ndim else g


@define_op
class Argsort(Derived):
    """Positions of the elements in order along `dim`."""

    signature = "(input: Tensor, dim: dim = -1, descending: bool = False, stable: bool = False)"
    samples = samples(call(A((3, 5), distinct=True), dtypes=dtypes.ALL), call(A((3, 5), distinct=True), 0, True))

    def decompose(self, x: Handle, dim: int, descending: bool, stable: bool) -> Handle:
        return x.sort(dim, descending)[1]


@define_op
class Msort(Derived):
    """Elements in order along the first dimension."""

    samples = samples(call(A((3, 5), distinct=True)))

    def decompose(self, x: Handle) -> Handle:
        return x.sort(0)[0]


@define_op
class Topk(Library):
    """The k largest (or smallest) elements along `dim`, in order, and their positions."""

    signature = "(input: Tensor, k: int, dim: dim = -1, largest: bool = True, sorted: bool = True)"
    result_names = ("values", "indices")
    shape_only = ("x", "values")
    samples = samples(
        call(A((3, 5), distinct=True), 2, dtypes=dtypes.ALL[1:]),
        call(A((2, 3, 4), distinct=True), 3, 1, False),
        call(A((67,), distinct=True), 10),
        call(A((67,), distinct=True), 0),
        call(A(()), 1),
    )
    batched = along_dims

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        check_rank(self.name, x, attrs["k"], attrs["dim"], low=0)
        values = x.with_shape(tuple(attrs["k"] if a == attrs["dim"] else d for a, d in enumerate(x.shape)))
        return values, values.with_dtype(dtypes.int64)

    def eager(self, x: np.ndarray, k: int, dim: int, largest: bool, sorted: bool) -> Any:
        check_rank(self.name, type_of(x), k, dim, low=0)
        if not x.ndim:
            return x.copy(), np.zeros((), np.int64)
        indices = np.ascontiguousarray(np.take(order(x, dim, largest), range(k), axis=dim))
        return np.take_along_axis(x, indices, axis=dim), indices

    def vjp(self, g: Handle, y: Handle, x: Handle, k: int, dim: int, largest: bool, sorted: bool) -> Gradient:
        return scattered(g[0], y[1], x, dim)


def check_rank(op: str, x: TensorType, k: Any, dim: int, low: int) -> None:
    """Check that a line along `dim` has a k-th element.

    Raises:
        IndexRangeError: it has not.
    """
    size: Dim = x.shape[dim] if x.ndim else 1
    if dims.is_below(k, low) or dims.is_below(size, k):
        raise IndexRangeError(f"{op}({describe(x)}): k={k} is out of range for size {size} of dim={dim}")


class Selected(Library):
    """Base of ops that choose one element of each line by its rank."""

    result_names = ("values", "indices")
    shape_only = ("x", "values")
    batched = along_dims

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        if "k" in attrs:
            check_rank(self.name, x, attrs["k"], attrs["dim"], low=1)
        elif any(isinstance(d, int) and d == 0 for a, d in enumerate(x.shape) if a == attrs["dim"]):
            raise IndexRangeError(f"{self.name}({describe(x)}): dim={attrs['dim']} has size 0")
        (values,) = lookup("sum").infer(x, dim=(attrs["dim"],), keepdim=attrs["keepdim"], dtype=x.dtype)
        return values, values.with_dtype(dtypes.int64)

    def select(self, x: np.ndarray, chosen: np.ndarray, dim: int, keepdim: bool) -> Any:
        """Values and positions, given the positions with `dim` kept."""
        values = np.take_along_axis(x, chosen, axis=dim)
        return (values, chosen) if keepdim else (values.squeeze(dim), chosen.squeeze(dim))

    def vjp(self, g: Handle, y: Handle, x: Handle, **attrs: Any) -> Gradient:
        dim, keepdim = attrs["dim"], attrs["keepdim"]
        return at_positions(spread(g[0], x, dim, keepdim), spread(y[1], x, dim, keepdim), x, dim)


@define_op
class Kthvalue(Selected):
    """The k-th smallest element along `dim`, counted from 1, and its position."""

    signature = "(input: Tensor, k: int, dim: dim = -1, keepdim: bool = False)"
    samples = samples(
        call(A((3, 5), distinct=True), 2, dtypes=dtypes.ALL[1:]), call(A((3, 5), distinct=True), 3, 0, True)
    )

    def eager(self, x: np.ndarray, k: int, dim: int, keepdim: bool) -> Any:
        check_rank(self.name, type_of(x), k, dim, low=1)
        if not x.ndim:
            return x.copy(), np.zeros((), np.int64)
        return self.select(x, np.take(order(x, dim, False), [k - 1], axis=dim), dim, keepdim)


@define_op
class MedianDim(Selected):
    """The median along `dim` (of an even number, the lower of the middle two) and its position; nan wins."""

    signature = "(input: Tensor, dim: dim, keepdim: bool = False)"
    method = False
    samples = samples(call(A((3, 5), distinct=True), 1, dtypes=dtypes.ALL[1:]), call(A((4, 3), distinct=True), 0, True))

    def eager(self, x: np.ndarray, dim: int, keepdim: bool) -> Any:
        self.infer(type_of(x), dim=dim, keepdim=keepdim)
        if not x.ndim:
            return x.copy(), np.zeros((), np.int64)
        ranked = order(x, dim, False)
        middle = np.take(ranked, [(x.shape[dim] - 1) // 2], axis=dim)
        nan = np.not_equal(x, x)
        first_nan = np.argmax(nan, axis=dim, keepdims=True)
        return self.select(x, np.where(nan.any(axis=dim, keepdims=True), first_nan, middle), dim, keepdim)


@define_op
class Median(Composite):
    """The median of all elements (the lower of the middle two); `median(x, dim)` is `median_dim`."""

    samples = samples(call(A((3, 5), distinct=True), dtypes=dtypes.ALL[1:]), call(A((67,), distinct=True)))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) + len(kwargs) == 1:
            return super().__call__(*args, **kwargs)
        return F.median_dim(*args, **kwargs)

    def decompose(self, x: Handle) -> Handle:
        if any(isinstance(d, int) and d == 0 for d in x.shape):
            raise ShapeError(f"median({describe(x)}): no elements to choose from")
        return F.median_dim(x.reshape((-1,)), 0)[0]

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return divided(g, y, x)
