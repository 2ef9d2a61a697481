"""The exponential distribution."""

from __future__ import annotations

from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.parameters import broadcast_all
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class Exponential(Distribution):
    """Exponential distribution of rate `rate`, the inverse of the mean."""

    arg_constraints = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(tuple(self.rate.shape), validate_args=validate_args)

    @property
    def mean(self) -> Handle:
        return self.rate.reciprocal()

    @property
    def mode(self) -> Handle:
        return F.zeros_like(self.rate)

    @property
    def stddev(self) -> Handle:
        return self.rate.reciprocal()

    @property
    def variance(self) -> Handle:
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        drawn = F.rand(self._extended_shape(sample_shape), dtype=self.rate.dtype)
        return -(-drawn).log1p() / self.rate

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        return 1 - (-self.rate * value).exp()

    def icdf(self, value: Handle) -> Handle:
        return -(-value).log1p() / self.rate

    def entropy(self) -> Handle:
        return 1.0 - self.rate.log()
