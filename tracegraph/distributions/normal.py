"""The normal distribution."""

from __future__ import annotations

import math

from tracegraph.distributions.distribution import Shape
from tracegraph.distributions.location_scale import LocationScale
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class Normal(LocationScale):
    """Normal distribution of mean `loc` and standard deviation `scale`, which broadcast."""

    @property
    def stddev(self) -> Handle:
        return self.scale

    @property
    def variance(self) -> Handle:
        return self.scale.pow(2)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        noise = F.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + noise * self.scale

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        squares = (value - self.loc) ** 2 / (2 * self.scale**2)
        return -squares - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def cdf(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        return 0.5 * (1 + F.erf((value - self.loc) / (self.scale * math.sqrt(2))))

    def icdf(self, value: Handle) -> Handle:
        return self.loc + self.scale * F.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Handle:
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()
