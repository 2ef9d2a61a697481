"""Reading and writing along one dimension at positions an index tensor gives for every element: gather and scatter."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, DTypeError, ShapeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar, Scatter
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.weak_numbers import fitting
from tracegraph.ops.indexing.combining import combined, in_range, out_of_bounds
from tracegraph.ops.kinds import Derived, Element, ScatterOp
from tracegraph.ops.kinds.batching import along_dims

_I64 = dtypes.int64


def _check_index(op: str, x: Any, index: Any) -> None:
    if not index.dtype.is_integer:
        raise DTypeError(f"{op}: index must hold integers, got {index.dtype.long_name}; convert it with .long()")
    if len(index.shape) != len(x.shape):
        raise ShapeError(
            f"{op}: index of shape {list(index.shape)} must have as many dimensions as input of shape {list(x.shape)}"
        )


def _check_covers(op: str, index: Any, what: str, other: Any, but: int | None) -> None:
    """Every size of `index`, but along `but`, is at most that of `other`."""
    for d, (n, m) in enumerate(zip(index.shape, other.shape, strict=True)):
        if d != but and not (dims.same(n, m) or n <= m):
            raise ShapeError(
                f"{op}: index of shape {list(index.shape)} is larger than {what} of shape {list(other.shape)} at "
                f"dimension {d}"
            )


def _position(op: str, k: Any, load: Load, operand: int, index: tuple[Index, ...], size: Any, dim: int) -> Index:
    found = k.cast(load(operand, index), _I64)
    return k.as_index(found, size, out_of_bounds(op, dim, size))


@define_op
class Gather(Element):
    """`result[i, j, ...] = input[i, index[i, j, ...], ...]`, for `dim` the dimension the index stands in.

    Raises:
        IndexRangeError: an index is negative or too large.
        ShapeError: `index` has other dimensions, or is larger than `input` along another dimension than `dim`.
    """

    checks_elements = True
    signature = "(input: Tensor, dim: dim, index: Tensor, *, sparse_grad: bool = False)"
    shape_only = ("x",)
    samples = samples(
        call(A((5, 4)), 0, A((3, 4), 0, 4, dtype=_I64), dtypes=dtypes.ALL),
        call(A((5, 4)), -1, A((2, 6), 0, 3, dtype=_I64)),
        call(A((5, 4)), 1, A((5, 0), dtype=_I64)),
        call(A((7,)), 0, A((3,), 0, 6, dtype=_I64)),
    )
    batched = along_dims

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return operands, {"dim": attrs["dim"]}  # gradients are always dense

    def infer(self, x: TensorType, index: TensorType, *, dim: int) -> tuple[TensorType, ...]:
        _check_index(self.name, x, index)
        _check_covers(self.name, index, "input", x, dim)
        return (x.with_shape(index.shape),)

    def eager(self, x: np.ndarray, index: np.ndarray, *, dim: int) -> np.ndarray:
        self.infer(_type(x), _type(index), dim=dim)
        if not x.ndim:
            in_range(self.name, index, 1, 0, wrap=False)
            return x.copy()
        positions = in_range(self.name, index, x.shape[dim], dim, wrap=False)
        region = tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(index.shape))
        return np.take_along_axis(x[region], positions, dim)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        x, _ = types
        assert isinstance(x, TensorType)
        if not x.ndim:
            return load(0, ())
        dim = attrs["dim"]
        position = _position(self.name, k, load, 1, index, x.shape[dim], dim)
        return load(0, (*index[:dim], position, *index[dim + 1 :]))

    def vjp(self, g: Handle, y: Handle, x: Handle, index: Handle, *, dim: int) -> Gradient:
        return F.scatter_add(g.new_zeros(tuple(x.shape)), dim, index, g), None


def _type(array: np.ndarray) -> TensorType:
    return TensorType(dtypes.from_numpy(array.dtype), array.shape)


class ScatterAlong(ScatterOp):
    """`result[i, index[i, j, ...], ...]` combined with `src[i, j, ...]`, in row-major order of `index`; else `input`.

    A definition says how to combine by `combination(attrs)`, a name of `ir.rules.Scatter`.
    """

    checks_elements = True
    combination: ClassVar[Any] = None
    batched = along_dims

    def infer(self, x: TensorType, index: TensorType, src: Any, *, dim: int, **attrs: Any) -> tuple[TensorType, ...]:
        _check_index(self.name, x, index)
        _check_covers(self.name, index, "input", x, dim)
        if isinstance(src, TensorType):
            if src.dtype is not x.dtype:
                raise DTypeError(f"{self.name}: src has dtype {src.dtype}, input {x.dtype}; convert one of them")
            if src.ndim != index.ndim:
                raise ShapeError(f"{self.name}: src is {src}, index {index}: both must have as many dimensions")
            _check_covers(self.name, index, "src", src, None)
        return (x,)

    def vary(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        x, index, value = operands
        return self(x, index=index, src=F.full(tuple(index.shape), value, dtype=x.dtype), **attrs)

    def eager(self, x: np.ndarray, index: np.ndarray, src: Any, *, dim: int, **attrs: Any) -> np.ndarray:
        self.infer(_type(x), _type(index), _type(src) if isinstance(src, np.ndarray) else src, dim=dim, **attrs)
        positions = in_range(self.name, index, x.shape[dim] if x.ndim else 1, dim, wrap=False)
        if x.ndim:
            grid: list[Any] = list(np.ogrid[tuple(map(slice, index.shape))])
            grid[dim] = positions
            positions = np.ravel_multi_index(tuple(np.broadcast_arrays(*grid)), x.shape) if index.size else positions
        values = src[tuple(map(slice, index.shape))] if isinstance(src, np.ndarray) else np.full(index.shape, src)
        flat = combined(np.ascontiguousarray(x).ravel(), positions.ravel(), values.ravel(), self.combination(attrs))
        return flat.reshape(x.shape)

    def scatter(self, types: OperandTypes, attrs: dict[str, Any]) -> Scatter:
        x, index_type, src = types
        assert isinstance(x, TensorType) and isinstance(index_type, TensorType)
        dim = attrs["dim"]

        def update(k: Any, load: Load, index: tuple[Index, ...]) -> tuple[tuple[Index, ...], Scalar]:
            value = load(2, index) if isinstance(src, TensorType) else k.cast(k.const(src, x.dtype.compute), x.dtype)
            if not x.ndim:
                return (), value
            position = _position(self.name, k, load, 1, index, x.shape[dim], dim)
            return (*index[:dim], position, *index[dim + 1 :]), value

        return Scatter(index_type.shape, 0, self.combination(attrs), update)


def _gradient_of_source(g: Handle, dim: int, index: Handle, src: Handle) -> Handle:
    """The gradient that reaches `src`: gathered where `index` reaches, zero beyond."""
    gathered = F.gather(g, dim, index)
    if dims.same_shape(tuple(index.shape), tuple(src.shape)):
        return gathered
    region = tuple((0, n, 1) for n in index.shape)
    return F.basic_index_scatter(g.new_zeros(tuple(src.shape)), gathered, region)


@define_op
class ScatterElements(ScatterAlong):
    """`input` with `src` (a tensor or a number) written along `dim` at the positions `index` gives.

    Where positions repeat, the last write stays. `reduce` "add" or "multiply" combines instead.

    Raises:
        IndexRangeError: an index is negative or too large.
        ShapeError, DTypeError: the operands do not fit.
    """

    name = "scatter"
    inplace = True
    signature = "(input: Tensor, dim: dim, index: Tensor, src: Number, *, reduce: OptionalStr = None)"
    shape_only = ("x", "src")
    samples = samples(
        call(A((5, 4)), 0, A((1, 4), 0, 4, dtype=_I64), A((2, 4)), dtypes=dtypes.ALL),
        call(A((5, 4)), 1, A((5, 1), 0, 3, dtype=_I64), A((5, 1))),
        call(A((5, 4)), 1, A((3, 2), 0, 3, dtype=_I64), 2),
        call(A((7,)), 0, A((0,), dtype=_I64), A((3,))),
    )
    combinations: ClassVar[dict[str | None, str]] = {None: "set", "add": "add", "multiply": "mul"}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if "value" in kwargs:
            kwargs["src"] = kwargs.pop("value")
        return super().__call__(*args, **kwargs)

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if attrs["reduce"] not in self.combinations:
            raise ArgumentError(f"scatter: reduce must be 'add', 'multiply' or None, got {attrs['reduce']!r}")
        x, index, src = operands
        if not is_tensor(src) and not x.dtype.is_floating:
            src = fitting("scatter", "src", src, x.dtype)
        return (x, index, src), attrs

    def combination(self, attrs: dict[str, Any]) -> str:
        return self.combinations[attrs["reduce"]]

    def vjp(
        self, g: Handle, y: Handle, x: Handle, index: Handle, src: Handle, *, dim: int, reduce: str | None
    ) -> Gradient:
        if reduce == "multiply":
            raise ArgumentError("scatter(reduce='multiply') has no gradient; use scatter_reduce with 'prod'")
        kept = g if reduce == "add" else (lambda: F.scatter(g, dim, index, 0))
        return kept, None, lambda: _gradient_of_source(g, dim, index, src)


@define_op
class ScatterAdd(ScatterAlong):
    """`input` with the elements of `src` added along `dim` at the positions `index` gives.

    Raises:
        IndexRangeError: an index is negative or too large.
        ShapeError, DTypeError: the operands do not fit.
    """

    inplace = True
    signature = "(input: Tensor, dim: dim, index: Tensor, src: Tensor)"
    shape_only = ("x", "src")
    samples = samples(
        call(A((5, 4)), 0, A((3, 4), 0, 4, dtype=_I64), A((3, 4)), dtypes=dtypes.ALL),
        call(A((5, 4)), -1, A((2, 3), 0, 3, dtype=_I64), A((3, 5))),
        call(A((3,)), 0, A((9,), 0, 2, dtype=_I64), A((9,))),
    )

    def combination(self, attrs: dict[str, Any]) -> str:
        return "add"

    def vjp(self, g: Handle, y: Handle, x: Handle, index: Handle, src: Handle, *, dim: int) -> Gradient:
        return g, None, lambda: _gradient_of_source(g, dim, index, src)


@define_op
class ScatterCombine(ScatterAlong):
    """`input` with the elements of `src` multiplied in, or the larger or smaller taken, at the positions of `index`.

    `combine` is "mul", "maximum" or "minimum".
    """

    zero_signs = False
    method = False
    signature = "(input: Tensor, dim: dim, index: Tensor, src: Tensor, *, combine: str)"
    samples = samples(
        call(A((5, 4)), 0, A((3, 4), 0, 4, dtype=_I64), A((3, 4)), combine="mul"),
        call(
            A((3, 4), distinct=True),
            1,
            A((3, 6), 0, 3, dtype=_I64),
            A((3, 6), -1.9, 1.9, distinct=True),
            combine="maximum",
        ),
        call(
            A((7,), distinct=True), 0, A((3,), 0, 6, dtype=_I64), A((3,), -1.9, 1.9, distinct=True), combine="minimum"
        ),
    )

    def combination(self, attrs: dict[str, Any]) -> str:
        return attrs["combine"]

    def vjp(self, g: Handle, y: Handle, x: Handle, index: Handle, src: Handle, *, dim: int, combine: str) -> Gradient:
        if combine == "mul":
            return _product_gradients(g, x, index, src, dim)
        # the gradient of an extremum goes to all elements that attain it, in equal parts
        shown = src[tuple(slice(n) for n in index.shape)]
        attains = (shown == F.gather(y, dim, index)).to(g.dtype)
        stays = (x == y).to(g.dtype)
        share = g / F.scatter_add(stays, dim, index, attains)
        return (
            lambda: stays * share,
            None,
            lambda: _padded(attains * F.gather(share, dim, index), src),
        )


def _padded(gradient: Handle, src: Handle) -> Handle:
    """`gradient`, of the region of `src` that the index covers, in the shape of `src`."""
    if dims.same_shape(tuple(gradient.shape), tuple(src.shape)):
        return gradient
    region = tuple((0, n, 1) for n in gradient.shape)
    return F.basic_index_scatter(gradient.new_zeros(tuple(src.shape)), gradient, region)


def _product_gradients(g: Handle, x: Handle, index: Handle, src: Handle, dim: int) -> Gradient:
    """Gradients of products: of the other factors, counting zeros apart so as never to divide by one."""
    shown = src[tuple(slice(n) for n in index.shape)]
    nonzero = F.where(shown == 0, 1, shown)
    product = F.scatter_combine(F.ones_like(x), dim, index, nonzero, combine="mul")  # without x, without zeros
    zeros = F.scatter_add(F.zeros_like(x), dim, index, (shown == 0).to(x.dtype))
    own = g * F.where(zeros == 0, product, 0)
    full = g * product * x  # times the gradient: what src elements have as other factors, but for themselves
    others = F.gather(zeros, dim, index) - (shown == 0).to(x.dtype)
    return own, None, lambda: _padded(F.where(others == 0, F.gather(full, dim, index) / nonzero, 0), src)


_REDUCTIONS = {"sum": "add", "mean": "add", "prod": "mul", "amax": "maximum", "amin": "minimum"}


@define_op
class ScatterReduce(Derived):
    """`input` with the elements of `src` reduced into it along `dim` at the positions `index` gives.

    `reduce` is "sum", "prod", "mean", "amax" or "amin"; without `include_self` the elements of `input` that are written
    to do not take part.
    """

    inplace = True
    signature = "(input: Tensor, dim: dim, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True)"
    samples = samples(
        call(A((5, 4)), 0, A((3, 4), 0, 4, dtype=_I64), A((3, 4)), "sum"),
        call(A((5, 4)), 1, A((5, 6), 0, 3, dtype=_I64), A((5, 6)), "mean"),
        call(A((5, 4)), 1, A((5, 6), 0, 3, dtype=_I64), A((5, 6)), "mean", include_self=False),
        call(A((5,)), 0, A((9,), 0, 4, dtype=_I64), A((9,)), "prod", include_self=False),
        call(A((5,)), 0, A((9,), 0, 4, dtype=_I64), A((9,), distinct=True), "amax", include_self=False),
    )

    def decompose(self, x: Handle, index: Handle, src: Handle, *, dim: int, reduce: str, include_self: bool) -> Handle:
        if reduce not in _REDUCTIONS:
            raise ArgumentError(f"scatter_reduce: reduce must be one of {', '.join(_REDUCTIONS)}, got {reduce!r}")
        if not include_self:
            x = F.scatter(x, dim, index, _identity(reduce, x.dtype))
        if reduce not in ("sum", "mean"):
            return F.scatter_combine(x, dim, index, src, combine=_REDUCTIONS[reduce])
        total = F.scatter_add(x, dim, index, src)
        if reduce == "sum":
            return total
        one = F.ones(tuple(index.shape), dtype=x.dtype)
        count = F.scatter_add(F.ones_like(x) if include_self else F.zeros_like(x), dim, index, one)
        count = F.where(count == 0, 1, count)
        return total / count if x.dtype.is_floating else F.floor_divide(total, count)


def _identity(reduce: str, dtype: dtypes.DType) -> float | int:
    """The number that changes nothing when combined."""
    if reduce not in ("amax", "amin"):
        return 1 if reduce == "prod" else 0
    if dtype.is_floating:
        return float("-inf") if reduce == "amax" else float("inf")
    info = np.iinfo(dtype.np)
    return int(info.min if reduce == "amax" else info.max)


@define_op
class TakeAlongDim(Derived):
    """The elements of `input` at `indices` along `dim`, both broadcast along the other dimensions.

    Without `dim`, both are taken as flat. Along `dim`, negative indices count from the end.
    """

    signature = "(input: Tensor, indices: Tensor, dim: OptionalDim = None)"
    samples = samples(
        call(A((5, 4)), A((3, 4), -5, 4, dtype=_I64), 0),
        call(A((5, 1)), A((1, 3), 0, 4, dtype=_I64), 0),
        call(A((5, 4)), A((6,), 0, 19, dtype=_I64)),
    )

    def decompose(self, x: Handle, indices: Handle, *, dim: int | None) -> Handle:
        if dim is None:
            return F.gather(x.reshape(-1), 0, indices.reshape(-1))
        if x.ndim != indices.ndim:
            raise ShapeError(
                f"take_along_dim: input of shape {list(x.shape)} and indices of shape {list(indices.shape)} must have "
                "as many dimensions"
            )

        others = [tuple(1 if d == dim else n for d, n in enumerate(t.shape)) for t in (x, indices)]
        common = broadcast_shapes(*others, op=self.name)
        x, indices = (F.expand(t, (*common[:dim], t.shape[dim], *common[dim + 1 :])) for t in (x, indices))
        size, indices = x.shape[dim], indices.to(_I64)
        return F.gather(x, dim, F.where((indices < 0) & (indices >= -size), indices + size, indices))
