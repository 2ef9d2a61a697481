"""Random tensors as users ask for them: `rand`, `randint`, `bernoulli`, `normal_`, `randperm`, `multinomial`, ...

Each takes a key, from the default generator or the one given, and makes of it what `random_bits` offers.
"""

from __future__ import annotations

import math
from typing import Any

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.layout import Shape
from tracegraph.ops.core.samples import samples
from tracegraph.ops.core.shapes import describe
from tracegraph.ops.kinds import Derived, DerivedCreation

_NONE = samples()  # results differ from call to call: tests of their own


@define_op
class Rand(DerivedCreation):
    """Uniform random numbers in [0, 1); float32 by default."""

    signature = "(size: size, *, generator: any = None, dtype: OptionalDtype = None)"
    samples = _NONE

    def decompose(self, *, size: Shape, generator: Any, dtype: DType | None) -> Handle:
        return F.philox_uniform(F.next_key(generator=generator), size, dtype=dtype)


@define_op
class Randn(DerivedCreation):
    """Random numbers of the standard normal distribution; float32 by default."""

    signature = "(size: size, *, generator: any = None, dtype: OptionalDtype = None)"
    samples = _NONE

    def decompose(self, *, size: Shape, generator: Any, dtype: DType | None) -> Handle:
        return F.philox_normal(F.next_key(generator=generator), size, dtype=dtype)


@define_op
class Randint(DerivedCreation):
    """Random integers in [low, high): `randint(high, size)` or `randint(low, high, size)`; int64 by default."""

    signature = (
        "(low: OptionalInt = None, high: any = None, size: OptionalInts = None, *, generator: any = None, "
        "dtype: OptionalDtype = None)"
    )
    samples = _NONE

    def decompose(
        self, *, low: Dim | None, high: Any, size: Shape | None, generator: Any, dtype: DType | None
    ) -> Handle:
        if size is None:  # randint(high, size)
            low, high, size = None, low, high
        if high is None or not isinstance(size, tuple):
            raise ArgumentError("randint: pass randint(high, size) or randint(low, high, size), size being a tuple")
        return F.philox_randint(F.next_key(generator=generator), low or 0, high, size, dtype=dtype)


@define_op
class RandLike(DerivedCreation):
    """Uniform random numbers in [0, 1), in the shape and dtype of a tensor."""

    signature = "(input: Tensor, *, generator: any = None, dtype: OptionalDtype = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, generator: Any, dtype: DType | None) -> Handle:
        return F.rand(tuple(x.shape), generator=generator, dtype=dtype or x.dtype)


@define_op
class RandnLike(DerivedCreation):
    """Random numbers of the standard normal distribution, in the shape and dtype of a tensor."""

    signature = "(input: Tensor, *, generator: any = None, dtype: OptionalDtype = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, generator: Any, dtype: DType | None) -> Handle:
        return F.randn(tuple(x.shape), generator=generator, dtype=dtype or x.dtype)


@define_op
class RandintLike(DerivedCreation):
    """Random integers in [low, high), or [0, low) if one number is given, in the shape and dtype of a tensor."""

    signature = (
        "(input: Tensor, low: int, high: OptionalInt = None, *, generator: any = None, dtype: OptionalDtype = None)"
    )
    samples = _NONE

    def decompose(self, x: Handle, *, low: Dim, high: Dim | None, generator: Any, dtype: DType | None) -> Handle:
        low, high = (0, low) if high is None else (low, high)
        return F.randint(low, high, tuple(x.shape), generator=generator, dtype=dtype or x.dtype)


@define_op
class Normal(DerivedCreation):
    """Normal random numbers of mean `mean` and standard deviation `std`, each a tensor or a number.

    With two numbers `size` says how many; else the tensors broadcast.
    """

    signature = (
        "(mean: Number = 0.0, std: Number = 1.0, size: OptionalInts = None, *, generator: any = None, "
        "dtype: OptionalDtype = None)"
    )
    samples = _NONE

    def decompose(self, mean: Any, std: Any, *, size: Shape | None, generator: Any, dtype: DType | None) -> Handle:
        tensors = [t for t in (mean, std) if is_tensor(t)]
        if not tensors and size is None:
            raise ArgumentError("normal: give the size, for numbers as mean and standard deviation")
        if not is_tensor(std) and std < 0:
            raise ValueRangeError(f"normal: the standard deviation must not be negative, got {std}")
        if tensors:
            spread = sum(t * 0 for t in tensors)  # of the shape and dtype the tensors promote to
            size, dtype = tuple(spread.shape), dtype or spread.dtype
        return F.randn(size, generator=generator, dtype=dtype) * std + mean


@define_op
class Bernoulli(Derived):
    """1 with the probability that `input` (or `p` for all) says, else 0; in the dtype of `input`."""

    signature = "(input: Tensor, p: OptionalFloat = None, *, generator: any = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, p: float | None, generator: Any) -> Handle:
        if p is None and not x.dtype.is_floating:
            raise DTypeError(f"bernoulli: probabilities must be floating, got {describe(x)}")
        if p is not None and not 0 <= p <= 1:
            raise ValueRangeError(f"bernoulli: p={p} must be a probability in [0, 1]")
        fraction = x.dtype.compute if x.dtype.is_floating else dtypes.float32
        drawn = F.rand(tuple(x.shape), generator=generator, dtype=fraction)
        return (drawn < (x.detach() if p is None else p)).to(x.dtype)


@define_op
class Randperm(DerivedCreation):
    """The integers 0 to n - 1 in random order; int64 by default."""

    signature = "(n: int, *, generator: any = None, dtype: OptionalDtype = None)"
    samples = _NONE

    def decompose(self, *, n: Dim, generator: Any, dtype: DType | None) -> Handle:
        if n < 0:
            raise ValueRangeError(f"randperm: n must not be negative, got {n}")
        labels = F.philox_randint(F.next_key(generator=generator), 0, (1 << 63) - 1, (n,))
        return F.argsort(labels, stable=True).to(dtype or dtypes.int64)


@define_op
class Multinomial(Derived):
    """`num_samples` positions drawn with probabilities in proportion to `input`, a vector or rows of a matrix: int64.

    Raises:
        ShapeError: `input` has another number of dimensions, or too few elements to draw without replacement.
    """

    signature = "(input: Tensor, num_samples: int, replacement: bool = False, *, generator: any = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, num_samples: int, replacement: bool, generator: Any) -> Handle:
        if x.ndim not in (1, 2):
            raise ShapeError(f"multinomial: expects a vector or a matrix, got shape {list(x.shape)}")
        if not x.dtype.is_floating:
            raise DTypeError(f"multinomial: probabilities must be floating, got {describe(x)}")
        if num_samples < 1:
            raise ValueRangeError(f"multinomial: num_samples must be positive, got {num_samples}")
        weights = x.detach().to(x.dtype.compute)
        if replacement:
            cumulative = F.cumsum(weights, -1)
            drawn = F.rand((*x.shape[:-1], num_samples), generator=generator, dtype=weights.dtype)
            scaled = drawn * cumulative[..., -1:]
            passed = cumulative.unsqueeze(-2) <= scaled.unsqueeze(-1)
            return F.clamp(passed.to(dtypes.int64).sum(-1), max=x.shape[-1] - 1)
        if num_samples > x.shape[-1]:
            raise ShapeError(
                f"multinomial: cannot draw {num_samples} samples without replacement from {x.shape[-1]} elements"
            )
        # the order of weight / exponential is that of drawing without replacement (Efraimidis and Spirakis 2006)
        exponential = -F.log(F.rand(tuple(x.shape), generator=generator, dtype=weights.dtype))
        return F.topk(weights / exponential, num_samples, -1)[1]


# ------------------------------------------------------------------------------------------------ in place


@define_op
class UniformInPlace(Derived):
    """Fill with uniform random numbers in [low, to)."""

    name = "uniform_"
    signature = "(input: Tensor, low: float = 0.0, to: float = 1.0, *, generator: any = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, low: float, to: float, generator: Any) -> Handle:
        if low > to:
            raise ValueRangeError(f"uniform_: expected low <= to, got low={low}, to={to}")
        return x.copy_(F.rand(tuple(x.shape), generator=generator, dtype=x.dtype) * (to - low) + low)


@define_op
class NormalInPlace(Derived):
    """Fill with normal random numbers."""

    name = "normal_"
    signature = "(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: any = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, mean: float, std: float, generator: Any) -> Handle:
        return x.copy_(F.normal(mean, std, tuple(x.shape), generator=generator, dtype=x.dtype))


@define_op
class BernoulliInPlace(Derived):
    """Fill with 1 with probability `p` (a number or a tensor), else 0."""

    name = "bernoulli_"
    signature = "(input: Tensor, p: Number = 0.5, *, generator: any = None)"
    samples = _NONE

    def decompose(self, x: Handle, p: Any, *, generator: Any) -> Handle:
        chance = p if is_tensor(p) else F.full((), p, dtype=dtypes.float32)
        return x.copy_(F.bernoulli(F.expand(chance, tuple(x.shape)), generator=generator))


@define_op
class ExponentialInPlace(Derived):
    """Fill with exponential random numbers of rate `lambd`."""

    name = "exponential_"
    signature = "(input: Tensor, lambd: float = 1.0, *, generator: any = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, lambd: float, generator: Any) -> Handle:
        if lambd <= 0:
            raise ValueRangeError(f"exponential_: the rate must be positive, got {lambd}")
        drawn = F.rand(tuple(x.shape), generator=generator, dtype=x.dtype)
        return x.copy_(F.log1p(-drawn) * (-1.0 / lambd))


@define_op
class LogNormalInPlace(Derived):
    """Fill with random numbers whose logarithms are normal, of mean `mean` and standard deviation `std`."""

    name = "log_normal_"
    signature = "(input: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: any = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, mean: float, std: float, generator: Any) -> Handle:
        return x.copy_(F.normal(mean, std, tuple(x.shape), generator=generator, dtype=x.dtype).exp())


@define_op
class CauchyInPlace(Derived):
    """Fill with Cauchy random numbers of median `median` and half width `sigma`."""

    name = "cauchy_"
    signature = "(input: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: any = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, median: float, sigma: float, generator: Any) -> Handle:
        if sigma <= 0:
            raise ValueRangeError(f"cauchy_: sigma must be positive, got {sigma}")
        drawn = F.rand(tuple(x.shape), generator=generator, dtype=x.dtype)
        return x.copy_((math.pi * (drawn - 0.5)).tan() * sigma + median)


@define_op
class GeometricInPlace(Derived):
    """Fill with the numbers of trials up to the first success, each of probability `p`."""

    name = "geometric_"
    signature = "(input: Tensor, p: float, *, generator: any = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, p: float, generator: Any) -> Handle:
        if not 0 < p < 1:
            raise ValueRangeError(f"geometric_: p={p} must be in (0, 1)")
        drawn = F.rand(tuple(x.shape), generator=generator, dtype=dtypes.float64)
        return x.copy_(((-drawn).log1p() / math.log1p(-p)).floor().to(x.dtype) + 1)


@define_op
class RandomInPlace(Derived):
    """Fill with random integers in [start, to), or [0, start) if one number is given, or all the dtype can hold."""

    name = "random_"
    signature = "(input: Tensor, start: OptionalInt = None, to: OptionalInt = None, *, generator: any = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, start: int | None, to: int | None, generator: Any) -> Handle:
        if to is None:
            start, to = 0, start if start is not None else _integers(x.dtype)
        return x.copy_(F.randint(start, to, tuple(x.shape), generator=generator))


def _integers(dtype: DType) -> int:
    """How many non-negative integers from 0 on a dtype holds exactly."""
    if dtype.is_bool:
        return 2
    if dtype.is_floating:
        return 1 << {"f16": 11, "bf16": 8, "f32": 24, "f64": 53}[dtype.name]
    return (1 << (8 * dtype.itemsize - dtype.is_signed)) - (dtype.itemsize == 8)
