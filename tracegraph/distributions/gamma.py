"""The gamma distribution and its kin."""

from __future__ import annotations

import math
from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.parameters import broadcast_all, tiny_of
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


def standard_gamma(concentration: Handle) -> Handle:
    """A number of the gamma distribution of rate 1 for each element of `concentration`, with its gradient."""
    return F.philox_gamma(F.next_key(), concentration)


class Gamma(Distribution):
    """Gamma distribution of shape parameter `concentration` and rate `rate`."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(tuple(self.concentration.shape), validate_args=validate_args)

    @property
    def mean(self) -> Handle:
        return self.concentration / self.rate

    @property
    def mode(self) -> Handle:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Handle:
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        drawn = standard_gamma(self.concentration.expand(self._extended_shape(sample_shape)))
        return (drawn / self.rate).clamp(min=tiny_of(drawn))

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        return (
            F.xlogy(self.concentration, self.rate)
            + F.xlogy(self.concentration - 1, value)
            - self.rate * value
            - self.concentration.lgamma()
        )

    def entropy(self) -> Handle:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1.0 - a) * a.digamma()


class Chi2(Gamma):
    """Distribution of the sum of the squares of `df` standard normal variables."""

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (df,) = broadcast_all(df)
        self.df = df
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)


class StudentT(Distribution):
    """Student's t distribution of `df` degrees of freedom, moved by `loc` and scaled by `scale`."""

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        super().__init__(tuple(self.df.shape), validate_args=validate_args)

    @property
    def mean(self) -> Handle:
        return self.loc.masked_fill(self.df <= 1, math.nan)

    @property
    def mode(self) -> Handle:
        return self.loc

    @property
    def variance(self) -> Handle:
        is_finite = self.df > 2
        df = F.where(is_finite, self.df, 3.0)  # no other gradient than zero where there is no variance
        return F.where(is_finite, self.scale.pow(2) * df / (df - 2), F.where(self.df > 1, math.inf, math.nan))

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        shape = self._extended_shape(sample_shape)
        noise = F.randn(shape, dtype=self.df.dtype)
        chi2 = 2 * standard_gamma(0.5 * self.df.expand(shape))
        return self.loc + self.scale * (noise * (chi2 / self.df).clamp(min=tiny_of(chi2)).rsqrt())

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        y = (value - self.loc) / self.scale
        total = 0.5 * self.df.log() + 0.5 * math.log(math.pi) + (0.5 * self.df).lgamma()
        normaliser = self.scale.log() + total - (0.5 * (self.df + 1)).lgamma()
        return -0.5 * (self.df + 1) * (y**2 / self.df).log1p() - normaliser

    def entropy(self) -> Handle:
        df = self.df
        half, more = 0.5 * df, 0.5 * (df + 1)
        log_beta = half.lgamma() + math.lgamma(0.5) - more.lgamma()
        return self.scale.log() + more * (more.digamma() - half.digamma()) + 0.5 * df.log() + log_beta
