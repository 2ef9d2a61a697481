"""Variance, norms and log-sum-exp: reductions of more than one pass, arranged to lose no accuracy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import DTypeError, ValueRangeError
from tracegraph.ir import TensorType, lookup
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import type_of
from tracegraph.ops.core.sym_float import Float
from tracegraph.ops.kinds import Composite, Derived
from tracegraph.ops.kinds.batching import along_dims
from tracegraph.ops.kinds.reduction import floating_result, reduced_axes
from tracegraph.ops.numerics.reduce import reduce
from tracegraph.ops.numerics.scalar import cast_array
from tracegraph.ops.reductions.extrema import check_not_empty
from tracegraph.ops.reductions.reductions import reduced_count, spread

VARIANCE = samples(
    call(A((3, 5))),
    call(A((3, 5)), 1),
    call(A((2, 3, 4)), (0, 2), correction=0, keepdim=True),
    call(A((67,)), -1, correction=2),
    call(A((0, 4)), 0, correction=0),
)


class Spread(Composite):
    """Base of variance and standard deviation, with PyTorch's two ways to state the correction."""

    signature = (
        "(input: Tensor, dim: dims = None, unbiased: any = None, keepdim: bool = False, *, "
        "correction: OptionalNumberAttr = None)"
    )
    samples = VARIANCE
    batched = along_dims

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """`unbiased=False` means `correction=0`; the default correction is 1."""
        unbiased = attrs.pop("unbiased")
        if attrs["correction"] is None:
            attrs["correction"] = 1 if unbiased is None or unbiased else 0
        if isinstance(attrs["dim"], tuple):
            attrs["dim"] = tuple(sorted(attrs["dim"])) or None
        if not operands[0].dtype.is_floating:
            raise DTypeError(
                f"{self.name}: only defined for floating dtypes, got {operands[0].dtype.long_name}; convert the input"
            )
        return operands, attrs

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        return lookup("mean").infer(*operands, dim=attrs["dim"], keepdim=attrs["keepdim"])


def axes_of(x: np.ndarray, dim: Any) -> tuple[int, ...]:
    """The axes of an array that `dim` stands for."""
    return reduced_axes(type_of(x), {"dim": dim})


def widened(x: np.ndarray) -> np.ndarray:
    """The array in the dtype it is computed in."""
    return cast_array(x, dtypes.from_numpy(x.dtype).compute)


def degrees_of_freedom(x: Handle, dim: Any, correction: Any) -> Any:
    """Elements per result less the correction, at least 0; perhaps symbolic."""
    count: Any = reduced_count(x, dim)
    if isinstance(correction, Float) and not correction.is_integer():
        return max(count - correction, 0.0)
    return dims.maximum(count - int(correction), 0)


@define_op
class Var(Spread):
    """Variance: sum of squared deviations from the mean, over the number of elements less `correction`."""

    def eager(self, x: np.ndarray, dim: Any, keepdim: bool, correction: Any) -> Any:
        wide, axes = widened(x), axes_of(x, dim)
        mean = np.sum(wide, axis=axes, keepdims=True) / wide.dtype.type(reduced_count(x, dim))
        total = reduce(np.sum, np.square(wide - mean), axes, keepdim)
        return cast_array(total / wide.dtype.type(degrees_of_freedom(x, dim, correction)), dtypes.from_numpy(x.dtype))

    def decompose(self, x: Handle, dim: Any, keepdim: bool, correction: Any) -> Handle:
        wide = x.to(x.dtype.compute)
        deviation = wide - wide.mean(dim, keepdim=True)
        total = (deviation * deviation).sum(dim, keepdim)
        return (total / degrees_of_freedom(x, dim, correction)).to(x.dtype)

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: Any, keepdim: bool, correction: Any) -> Gradient:
        scale = spread(g, x, dim, keepdim) * 2 / degrees_of_freedom(x, dim, correction)
        return scale * (x - x.mean(dim, keepdim=True))


@define_op
class Std(Spread):
    """Standard deviation, the root of `var`; no gradient where it is 0."""

    def decompose(self, x: Handle, dim: Any, keepdim: bool, correction: Any) -> Handle:
        return x.to(x.dtype.compute).var(dim, keepdim=keepdim, correction=correction).sqrt().to(x.dtype)

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: Any, keepdim: bool, correction: Any) -> Gradient:
        scale = (g / y).masked_fill(y == 0, 0)
        scale = spread(scale, x, dim, keepdim) / degrees_of_freedom(x, dim, correction)
        return scale * (x - x.mean(dim, keepdim=True))


@define_op
class VarMean(Spread, Derived):
    """Variance and mean."""

    method = False
    result_names = ("var", "mean")

    def decompose(self, x: Handle, dim: Any, keepdim: bool, correction: Any) -> Any:
        return self.pack((x.var(dim, keepdim=keepdim, correction=correction), x.mean(dim, keepdim)))


@define_op
class StdMean(Spread, Derived):
    """Standard deviation and mean."""

    method = False
    result_names = ("std", "mean")

    def decompose(self, x: Handle, dim: Any, keepdim: bool, correction: Any) -> Any:
        return self.pack((x.std(dim, keepdim=keepdim, correction=correction), x.mean(dim, keepdim)))


# --------------------------------------------------------------------------------------------- log-sum-exp


@define_op
class Logsumexp(Composite):
    """log(sum(exp(x))), computed relative to the largest element so that nothing overflows."""

    signature = "(input: Tensor, dim: dims, keepdim: bool = False)"
    samples = samples(
        call(A((3, 5)), 1, dtypes=(*dtypes.FLOATING_DTYPES, dtypes.int64)),
        call(A((2, 3, 4)), (0, 2), True),
        call(A((67,), -90, 90), -1),
        call(A(()), 0),
        call(A((0, 4)), 1),
    )
    batched = along_dims

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        (x,) = operands
        assert isinstance(x, TensorType)
        return lookup("sum").infer(x.with_dtype(floating_result(x.dtype)), **attrs)

    def eager(self, x: np.ndarray, dim: Any, keepdim: bool) -> Any:
        dtype = floating_result(dtypes.from_numpy(x.dtype))
        wide, axes = cast_array(x, dtype.compute), axes_of(x, dim)
        # an infinite element must not turn the others into inf - inf
        largest = np.max(wide, axis=axes, keepdims=True, initial=-np.inf)
        shift = np.where(np.isinf(largest), 0, largest)
        total = np.log(np.sum(np.exp(wide - shift), axis=axes, keepdims=True)) + shift
        return cast_array(total if keepdim else total.squeeze(axes), dtype)

    def decompose(self, x: Handle, dim: Any, keepdim: bool) -> Handle:
        x = x.to(floating_result(x.dtype))
        wide = x.to(x.dtype.compute)
        if any(isinstance(x.shape[a], int) and x.shape[a] == 0 for a in dim if x.ndim):
            return wide.exp().sum(dim, keepdim).log().to(x.dtype)
        largest = wide.amax(dim, keepdim=True)
        shift = F.where(largest.abs() == math.inf, 0, largest)
        total = (wide - shift).exp().sum(dim, keepdim=True).log() + shift
        return (total if keepdim else _drop(total, x, dim)).to(x.dtype)

    def vjp(self, g: Handle, y: Handle, x: Handle, dim: Any, keepdim: bool) -> Gradient:
        return spread(g, x, dim, keepdim) * (x - spread(y, x, dim, keepdim)).exp()


def _drop(kept: Handle, x: Handle, dim: tuple[int, ...]) -> Handle:
    """Remove the reduced dimensions, of size 1."""
    shape: tuple[Dim, ...] = tuple(d for a, d in enumerate(x.shape) if a not in dim)
    return kept.reshape(shape)


# --------------------------------------------------------------------------------------------- norms


@define_op
class VectorNorm(Composite):
    """The p-norm of the elements: sum(|x|**p)**(1/p), max |x| for p = inf, min |x| for -inf, their count for 0.

    The gradient at 0 is 0.
    """

    signature = "(input: Tensor, ord: float = 2.0, dim: dims = None, keepdim: bool = False)"
    method = False
    samples = samples(
        call(A((3, 5))),
        call(A((3, 5)), 1.0, 1),
        call(A((2, 3, 4)), 3.0, (0, 2), True),
        call(A((67,), distinct=True, low=0.5, high=2), math.inf, -1),
        call(A((67,), distinct=True, low=0.5, high=2), -math.inf, -1),
        call(A((3, 5)), 0.0, 1),
        call(A((3, 5), 0.5, 2), 0.5, 0),
        call(A(())),
        call(A((0, 4)), 2.0, 1),
        call(A((0, 4)), 2.0, 0),
    )
    batched = along_dims

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not operands[0].dtype.is_floating:
            raise DTypeError(f"{self.name}: expected a floating tensor, got {operands[0].dtype.long_name}")
        if isinstance(attrs["dim"], tuple):
            attrs["dim"] = tuple(sorted(attrs["dim"])) or None
        return operands, attrs

    def eager(self, x: np.ndarray, ord: float, dim: Any, keepdim: bool) -> Any:
        size, axes = np.abs(widened(x)), axes_of(x, dim)
        if math.isinf(ord):
            check_not_empty(self.name, type_of(x), dim)
            result = reduce(np.max if ord > 0 else np.min, size, axes, keepdim)
        elif ord in (0, 1):
            result = reduce(np.sum, size if ord else size != 0, axes, keepdim)
        elif ord == 2:
            result = np.sqrt(reduce(np.sum, size * size, axes, keepdim))
        else:
            result = reduce(np.sum, size**ord, axes, keepdim) ** (1 / ord)
        return cast_array(np.asarray(result), dtypes.from_numpy(x.dtype))

    def decompose(self, x: Handle, ord: float, dim: Any, keepdim: bool) -> Handle:
        wide = x.to(x.dtype.compute)
        if ord == 2:
            result = (wide * wide).sum(dim, keepdim).sqrt()
        elif ord == 1:
            result = wide.abs().sum(dim, keepdim)
        elif ord == 0:
            result = (wide != 0).sum(dim, keepdim)
        elif math.isinf(ord):
            result = wide.abs().amax(dim, keepdim) if ord > 0 else wide.abs().amin(dim, keepdim)
        else:
            result = (wide.abs() ** ord).sum(dim, keepdim) ** (1 / ord)
        return result.to(x.dtype)

    def vary(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        return self._of_any_order(*operands, **attrs)

    def _of_any_order(self, x: Handle, ord: Any, dim: Any, keepdim: bool) -> Any:
        """The norm of an order that varies, where none of the others' formulas holds; the gradient at 0 is 0 too."""
        if ord <= 0 or ord in (1, 2, math.inf):
            return NotImplemented
        size = x.to(x.dtype.compute).abs()
        powers = size.masked_fill(size == 0, 1) ** ord
        total = powers.masked_fill(size == 0, 0).sum(dim, keepdim)
        root = total.masked_fill(total == 0, 1) ** (1 / ord)
        return root.masked_fill(total == 0, 0).to(x.dtype)

    def vjp(self, g: Handle, y: Handle, x: Handle, ord: float, dim: Any, keepdim: bool) -> Gradient:
        if ord == 0:
            return F.zeros_like(x)
        g, y = spread(g, x, dim, keepdim), spread(y, x, dim, keepdim)
        if ord == 1:
            return g * x.sign()
        if math.isinf(ord):
            extreme = ((x.abs() == y) | x.isnan()).to(x.dtype)
            return g / extreme.sum(dim, keepdim=True) * extreme * x.sign()
        slope = x / y if ord == 2 else x.sign() * (x.abs() / y) ** (ord - 1)
        return g * slope.masked_fill((y == 0) | (x == 0), 0)


@define_op
class Norm(Derived):
    """`vector_norm` under its older name: p is a number, or "fro" for 2."""

    signature = '(input: Tensor, p: any = "fro", dim: dims = None, keepdim: bool = False, dtype: OptionalDtype = None)'
    samples = samples(
        call(A((3, 5))), call(A((3, 5)), 1, 1), call(A((3, 5)), "fro", (0, 1), True), call(A((67,)), p=3.0)
    )

    def decompose(self, x: Handle, p: Any, dim: Any, keepdim: bool, dtype: Any) -> Handle:
        if isinstance(p, str) and p != "fro":
            raise ValueRangeError(f"norm: p must be a number or 'fro', got {p!r}")
        return F.vector_norm(x if dtype is None else x.to(dtype), 2.0 if p == "fro" else p, dim, keepdim)


@define_op
class Dist(Derived):
    """The p-norm of input - other."""

    signature = "(input: Tensor, other: Tensor, p: float = 2.0)"
    samples = samples(call(A((3, 5)), A((3, 5))), call(A((3, 5)), A((5,)), 1.0))

    def decompose(self, x: Handle, y: Handle, p: float) -> Handle:
        return F.vector_norm(x - y, p)
