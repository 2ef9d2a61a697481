"""The Cauchy distribution."""

from __future__ import annotations

import math

from tracegraph.distributions.distribution import Shape
from tracegraph.distributions.location_scale import LocationScale
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class Cauchy(LocationScale):
    """Cauchy distribution of median `loc` and half width at half maximum `scale`; it has no mean and no variance."""

    @property
    def mean(self) -> Handle:
        return F.full_like(self.loc, math.nan)

    @property
    def variance(self) -> Handle:
        return F.full_like(self.loc, math.inf)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        return self.icdf(F.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        return -math.log(math.pi) - self.scale.log() - ((value - self.loc) / self.scale).pow(2).log1p()

    def cdf(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        return ((value - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Handle) -> Handle:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Handle:
        return math.log(4 * math.pi) + self.scale.log()
