"""Largest and smallest elements along dimensions, and where they are.

Where several elements tie, a reduction to values alone (`amax`, `max()`) divides the gradient among them; one that
also gives the position (`max(dim)`) sends all of it to the first, the one it reports. nan counts as extreme. Where the
extreme is zero and there are zeros of both signs, the sign of the value is either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import IndexRangeError, ShapeError
from tracegraph.ir import TensorType, lookup
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, Sampler, call, samples
from tracegraph.ops.core.shapes import describe, type_of
from tracegraph.ops.kinds import Composite, Derived, Reduction
from tracegraph.ops.kinds.batching import Batch, along_dims, with_ones
from tracegraph.ops.kinds.reduction import reduced_axes
from tracegraph.ops.numerics.reduce import reduce
from tracegraph.ops.reductions.reductions import spread

VALUES = samples(
    call(A((3, 5), distinct=True), dtypes=dtypes.ALL),
    call(A((3, 5), distinct=True), 1, dtypes=dtypes.ALL),
    call(A((2, 3, 4), distinct=True), (0, 2), keepdim=True),
    call(A((67,), distinct=True), -1),
    call(A((4, 1)), 0, True),
    call(A(())),
    call(A((0, 4)), 1),
)


def position_samples(first: Sequence[DType]) -> Sampler:
    """One dimension is reduced; the first sample takes these dtypes."""
    return samples(
        call(A((3, 5), distinct=True), 1, dtypes=first),
        call(A((2, 3, 4), distinct=True), 0, True),
        call(A((67,), distinct=True), -1),
        call(A(()), 0),
        call(A((0, 4)), 1),
    )


def check_not_empty(op: str, x: Any, dim: Any) -> None:
    """An extreme needs at least one element.

    Raises:
        IndexRangeError: a reduced dimension has size 0.
        ShapeError: so does some dimension, and no `dim` was asked for.
    """
    if not any(isinstance(x.shape[a], int) and x.shape[a] == 0 for a in reduced_axes(x, {"dim": dim})):
        return
    if dim is None:
        raise ShapeError(f"{op}({describe(x)}): no elements to choose from; pass dim= to reduce another dimension")
    raise IndexRangeError(f"{op}({describe(x)}): dim={dim} has size 0, there are no elements to choose from")


class Extremum(Reduction):
    """Base of reductions to the extreme value."""

    zero_signs = False
    ufunc: ClassVar[np.ufunc]
    recompute_cost = 1.0

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        check_not_empty(self.name, operands[0], attrs.get("dim"))
        return super().infer(*operands, **attrs)

    def eager(self, x: np.ndarray, dim: tuple[int, ...], keepdim: bool = False) -> Any:
        return self.ufunc.reduce(x, axis=dim, keepdims=keepdim)

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: Any = None, keepdim: bool = False) -> Gradient:
        chosen = (x == spread(y, x, dim, keepdim)).to(g.dtype)
        return chosen * spread(g, x, dim, keepdim) / chosen.sum(dim, keepdim=True)


@define_op
class Amax(Extremum):
    """Largest element."""

    combine = "maximum"
    ufunc = np.maximum
    samples = VALUES


@define_op
class Amin(Extremum):
    """Smallest element."""

    combine = "minimum"
    ufunc = np.minimum
    samples = VALUES


class FullExtremum(Extremum):
    """Base of `max` and `min`: of all elements here; called with more arguments, they mean another op."""

    signature = "(input: Tensor)"
    samples = samples(call(A((3, 5), distinct=True), dtypes=dtypes.ALL), call(A((67,), distinct=True)), call(A(())))
    #: the op of two tensors, and the op along one dimension
    pairwise: ClassVar[str]
    along_dim: ClassVar[str]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) + len(kwargs) == 1:
            return super().__call__(*args, **kwargs)
        other = args[1] if len(args) > 1 else kwargs.get("other")
        return getattr(F, self.pairwise if is_tensor(other) else self.along_dim)(*args, **kwargs)

    def batched(self, batch: Batch) -> Handle:
        return getattr(F, f"a{self.name}")(
            F.flatten(batch.operands[0], 1) if batch.rank(0) else with_ones(batch.operands[0], 1, 1), 1
        )

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: Any = None, keepdim: bool = False) -> Gradient:
        return divided(g, y, x)


def divided(g: Handle, y: Handle, x: Handle) -> Handle:
    """The gradient of one element chosen among all of `x` by its value `y`, divided among those equal to it."""
    chosen = ((x == y) | x.isnan()).to(g.dtype)  # a nan anywhere is what was chosen
    return chosen * (g / chosen.sum())


@define_op
class Max(FullExtremum):
    """Largest element, 0-d; `max(x, dim)` is `max_dim`, `max(x, other)` is `maximum`."""

    combine = "maximum"
    ufunc = np.maximum
    pairwise, along_dim = "maximum", "max_dim"


@define_op
class Min(FullExtremum):
    """Smallest element, 0-d; `min(x, dim)` is `min_dim`, `min(x, other)` is `minimum`."""

    combine = "minimum"
    ufunc = np.minimum
    pairwise, along_dim = "minimum", "min_dim"


# --------------------------------------------------------------------------------------------- positions


class Position(Reduction):
    """Base of argmax and argmin: positions in row-major order of the reduced elements, int64."""

    signature = "(input: Tensor, dim: OptionalDim = None, keepdim: bool = False)"
    samples = samples(call(A((3, 5), distinct=True), dtypes=dtypes.ALL), *position_samples(dtypes.ALL)())

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        check_not_empty(self.name, operands[0], attrs["dim"])
        return super().infer(*operands, **attrs)

    def result_dtype(self, dtype: DType, attrs: dict[str, Any]) -> DType:
        return dtypes.int64

    def accumulator(self, dtype: DType, attrs: dict[str, Any]) -> DType:
        return dtype.compute

    def eager(self, x: np.ndarray, dim: tuple[int, ...], keepdim: bool) -> Any:
        position = np.argmax if self.combine == "argmax" else np.argmin
        return reduce(position, x, dim[0] if len(dim) == 1 else None, keepdim)


@define_op
class Argmax(Position):
    """Position of the (first) largest element, along `dim` or in the flattened tensor."""

    combine = "argmax"


@define_op
class Argmin(Position):
    """Position of the (first) smallest element, along `dim` or in the flattened tensor."""

    combine = "argmin"


class ExtremumDim(Composite):
    """Base of `max(dim)` and `min(dim)`: values and positions."""

    zero_signs = False
    signature = "(input: Tensor, dim: dim, keepdim: bool = False)"
    result_names = ("values", "indices")
    method = False
    shape_only = ("x", "values")
    samples = position_samples(dtypes.ALL)
    extreme: ClassVar[str]
    position: ClassVar[str]
    batched = along_dims

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        check_not_empty(self.name, x, attrs["dim"])
        (values,) = lookup(self.extreme).infer(x, dim=(attrs["dim"],), keepdim=attrs["keepdim"])
        return values, values.with_dtype(dtypes.int64)

    def eager(self, x: np.ndarray, dim: int, keepdim: bool) -> Any:
        if not x.ndim:
            return x.copy(), np.zeros((), np.int64)
        check_not_empty(self.name, type_of(x), dim)
        find = np.argmax if self.position == "argmax" else np.argmin
        indices = find(x, axis=dim, keepdims=True)
        values = np.take_along_axis(x, indices, axis=dim)
        return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))

    def decompose(self, x: Handle, dim: int, keepdim: bool) -> tuple[Handle, Handle]:
        return getattr(F, self.extreme)(x, dim, keepdim), getattr(F, self.position)(x, dim, keepdim)

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: int, keepdim: bool) -> Gradient:
        return at_positions(spread(g[0], x, dim, keepdim), spread(y[1], x, dim, keepdim), x, dim)


def at_positions(g: Handle, indices: Handle, x: Handle, dim: int) -> Handle:
    """`g` at the given positions along `dim` of a tensor shaped like `x`, 0 elsewhere; `g` has size 1 along `dim`."""
    if not x.ndim:
        return g
    shape = tuple(x.shape[a] if a == dim else 1 for a in range(x.ndim))
    positions = F.arange(x.shape[dim]).reshape(shape)
    return F.where(positions == indices, g, 0)


@define_op
class MaxDim(ExtremumDim):
    """Largest elements along `dim`, and the positions of the first of them."""

    extreme, position = "amax", "argmax"


@define_op
class MinDim(ExtremumDim):
    """Smallest elements along `dim`, and the positions of the first of them."""

    extreme, position = "amin", "argmin"


@define_op
class Aminmax(Derived):
    """Smallest and largest elements."""

    signature = "(input: Tensor, *, dim: OptionalDim = None, keepdim: bool = False)"
    result_names = ("min", "max")
    samples = samples(
        call(A((3, 5), distinct=True), dtypes=dtypes.ALL), call(A((3, 5), distinct=True), dim=1, keepdim=True)
    )

    def decompose(self, x: Handle, dim: int | None, keepdim: bool) -> tuple[Handle, Handle]:
        return self.pack((x.amin(dim, keepdim), x.amax(dim, keepdim)))
