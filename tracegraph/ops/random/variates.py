"""Random numbers of distributions that are sampled by rejection: gamma, Poisson, binomial.

How many random bits an element takes depends on chance, so these are library ops: numpy's samplers, on a Philox stream
that belongs to the key. What a key gives is the same in eager and in compiled code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph.dtypes import int64
from tracegraph.errors import AutogradError, DTypeError, ElementError, ShapeError
from tracegraph.ir import TensorType
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal, type_of
from tracegraph.ops.kinds import Derived, Library
from tracegraph.ops.kinds.batching import Batch, passed, with_ones

_KEY = A((2,), 0, 1 << 40, dtype=int64)
_MASK = (1 << 64) - 1
# beyond, counts do not fit int64, and their spread is below the rounding unit of float64's square root
_LARGEST_RATE = 1e18


class Variate(Library):
    """Base: a number for each element of the parameters, of their dtype, made from a key.

    Rules:
        draw(self, generator, *parameters): float64 numbers from float64 parameters, by a numpy generator.
    """

    method = False

    def infer(self, key: TensorType, *parameters: TensorType) -> tuple[TensorType, ...]:
        if key.dtype is not int64 or key.ndim != 1 or not equal(key.shape[0], 2):
            raise ShapeError(f"{self.name}: the key is {key}, not the i64[2] that next_key() gives")
        first = parameters[0]
        for p in parameters:
            if not p.dtype.is_floating or p.dtype is not first.dtype:
                raise DTypeError(f"{self.name}: parameters must be floating and of one dtype, got {describe(p)}")
        return (TensorType(first.dtype, broadcast_shapes(*(p.shape for p in parameters), op=self.name)),)

    def eager(self, key: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
        self.infer(*map(type_of, (key, *parameters)))
        seed, draw = (int(part) & _MASK for part in key)
        generator = np.random.Generator(np.random.Philox(key=seed | draw << 64))
        found = self.draw(generator, *(p.astype(np.float64) for p in parameters))
        return np.asarray(found).astype(parameters[0].dtype)

    def draw(self, generator: np.random.Generator, *parameters: np.ndarray) -> Any:
        """The numbers."""
        raise ElementError(f"{self.name} draws nothing")

    def batched(self, batch: Batch) -> Any:
        """Samples with a key each are drawn at once; those that share one draw alike, one by one."""
        if not batch.varies[0]:
            return NotImplemented
        places = range(1, len(batch.operands))
        rank = max(map(batch.rank, places))
        return batch.call(
            [batch.operands[0][0], *(with_ones(batch.spread(i), 1, rank - batch.rank(i)) for i in places)]
        )


@define_op
class PhiloxGamma(Variate):
    """Numbers of gamma distributions of rate 1 and shape parameter `concentration`, from a key; nan where not >= 0.

    The gradient is that of the quantile: how the number moves with the parameter where its probability stays
    (Figurnov, Mohamed, Mnih 2018, "Implicit reparameterization gradients").
    """

    signature = "(key: Tensor, concentration: Tensor)"
    gradient_is_slope = False
    differentiable_once = True
    samples = samples(call(_KEY, A((3, 5), 0.2, 4)), call(_KEY, A((), 2, 3)), call(_KEY, A((0, 4))))

    def draw(self, generator: np.random.Generator, *parameters: np.ndarray) -> Any:
        (concentration,) = parameters
        valid = concentration >= 0
        drawn = generator.standard_gamma(np.where(valid, np.abs(concentration), 1.0))  # -0.0 is 0
        return np.where(valid, drawn, np.nan)

    def vjp(self, g: Handle, y: Handle, key: Handle, concentration: Handle) -> Gradient:
        return None, g * F.standard_gamma_slope(concentration, y)


@define_op
class PhiloxPoisson(Variate):
    """Numbers of Poisson distributions of mean `rate`, from a key.

    Raises:
        ElementError: a rate is negative or nan.
    """

    signature = "(key: Tensor, rate: Tensor)"
    checks_elements = True
    samples = samples(
        call(_KEY, A((3, 5), 0, 40), differentiable=False), call(_KEY, A((0, 4), 0, 1), differentiable=False)
    )

    def draw(self, generator: np.random.Generator, *parameters: np.ndarray) -> Any:
        (rate,) = parameters
        if not (rate >= 0).all():
            raise ElementError("poisson: every rate must be at least 0")
        small = rate <= _LARGEST_RATE
        return np.where(small, generator.poisson(np.where(small, np.abs(rate), 1.0)), rate)


@define_op
class PhiloxBinomial(Variate):
    """How many of `count` independent trials succeed with the probability `prob`, from a key.

    Raises:
        ElementError: a count is negative, or a probability outside [0, 1].
    """

    signature = "(key: Tensor, count: Tensor, prob: Tensor)"
    checks_elements = True
    samples = samples(call(_KEY, A((3, 5), 0, 40), A((5,), 0, 1), differentiable=False))

    def draw(self, generator: np.random.Generator, *parameters: np.ndarray) -> Any:
        count, prob = parameters
        if not ((count >= 0) & (count <= _LARGEST_RATE)).all() or not ((prob >= 0) & (prob <= 1)).all():
            raise ElementError("binomial: every count must be at least 0, every probability in [0, 1]")
        return generator.binomial(count.astype(np.int64), prob)


# ------------------------------------------------------------------------------------------------ as users ask


@define_op
class Poisson(Derived):
    """Random counts of Poisson distributions whose means `input` holds; in its dtype.

    Raises:
        ElementError: a mean is negative.
    """

    method = False
    signature = "(input: Tensor, *, generator: any = None)"
    samples = samples()

    def decompose(self, rate: Handle, *, generator: Any) -> Handle:
        return F.philox_poisson(F.next_key(generator=generator), rate.detach())


@define_op
class Binomial(Derived):
    """How many of `count` trials succeed, each with the probability `prob`; the tensors broadcast.

    Raises:
        ElementError: a count is negative, or a probability outside [0, 1].
    """

    method = False
    signature = "(count: Tensor, prob: Tensor, *, generator: any = None)"
    samples = samples()

    def decompose(self, count: Handle, prob: Handle, *, generator: Any) -> Handle:
        return F.philox_binomial(F.next_key(generator=generator), count.detach(), prob.detach())


# ------------------------------------------------------------------------------------------------ the slope


@define_op
class StandardGammaSlope(Library):
    """How a gamma variable of rate 1 moves with its shape parameter where its probability stays.

    That is -(dP/da) / (dP/dx) of the regularised incomplete gamma function P(a, x). The derivatives follow Moore
    (1982), "Algorithm AS 187: Derivatives of the incomplete gamma integral"; above a = 10000 they are those of the
    Cornish-Fisher expansion, whose relative error is below 1e-6 there.
    """

    method = False
    signature = "(concentration: Tensor, value: Tensor)"
    gradient_is_error = True
    samples = samples(call(A((3, 5), 0.2, 9), A((3, 5), 0.1, 12)), call(A((), 20000, 20001), A((), 20000, 20100)))
    batched = passed

    def infer(self, concentration: TensorType, value: TensorType) -> tuple[TensorType, ...]:
        return (TensorType(value.dtype, broadcast_shapes(concentration.shape, value.shape, op=self.name)),)

    def eager(self, concentration: np.ndarray, value: np.ndarray) -> np.ndarray:
        a, x = (np.array(v, np.float64) for v in np.broadcast_arrays(concentration, value))
        found = np.full(a.shape, np.nan)
        ordinary = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
        found[(a > 0) & (x == 0)] = 0.0
        large = ordinary & (a > _EXPANDED)
        low = ordinary & ~large & (x <= a + 1)
        high = ordinary & ~large & (x > a + 1)
        for chosen, rule in ((large, _by_expansion), (low, _by_series), (high, _by_fraction)):
            found[chosen] = rule(a[chosen], x[chosen])
        return found.astype(value.dtype)

    def vjp(self, g: Handle, y: Handle, concentration: Handle, value: Handle) -> Gradient:
        raise AutogradError("gamma samples can be differentiated once only")


_EXPANDED = 1e4
_STEPS = 20_000
_ENOUGH = 1e-16


def _by_series(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """P = x**a exp(-x) / gamma(a + 1) * sum of t_n, with t_n = x**n / ((a + 1) ... (a + n))."""
    term, slope = np.ones_like(a), np.zeros_like(a)  # t_n, and d log(t_n) / da
    total, total_slope = term.copy(), slope.copy()
    for n in range(1, _STEPS):
        term = term * x / (a + n)
        slope = slope - 1 / (a + n)
        total += term
        total_slope += term * slope
        if (term * (1 - slope) <= _ENOUGH * total).all():
            break
    return -(x / a) * (total * (np.log(x) - _digamma(a + 1)) + total_slope)


def _by_fraction(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """1 - P = x**a exp(-x) / gamma(a) * the continued fraction of Lentz's method, with derivatives by a."""
    b, b_a = x + 1 - a, -1.0
    c, c_a = np.full_like(a, 1e300), np.zeros_like(a)
    d = 1 / b
    d_a = -b_a * d * d
    total, total_a = d.copy(), d_a.copy()
    for i in range(1, _STEPS):
        factor = -i * (i - a)
        b = b + 2
        denominator, denominator_a = factor * d + b, i * d + factor * d_a + b_a
        c, c_a = b + factor / c, b_a + i / c - factor * c_a / (c * c)
        d = 1 / denominator
        d_a = -denominator_a * d * d
        step, step_a = c * d, c_a * d + c * d_a
        total, total_a = total * step, total_a * step + total * step_a
        if (np.abs(step - 1) + np.abs(step_a) * total <= _ENOUGH * 4).all():
            break
    return x * (total * (np.log(x) - _digamma(a)) + total_a)


def _by_expansion(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """x = a + sqrt(a) z + (z**2 - 1) / 3 + (z**3 - 7 z) / (36 sqrt(a)); z by Wilson and Hilferty's cube root."""
    root = np.sqrt(a)
    z = 3 * root * (np.cbrt(x / a) - 1 + 1 / (9 * a))
    return 1 + z / (2 * root) - (z**3 - 7 * z) / (72 * a * root)


def _digamma(a: np.ndarray) -> np.ndarray:
    (found,) = F.digamma.run(a)  # type: ignore[attr-defined]
    return found
