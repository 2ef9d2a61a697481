"""The Laplace distribution."""

from __future__ import annotations

import math

from tracegraph.distributions.distribution import Shape
from tracegraph.distributions.location_scale import LocationScale
from tracegraph.distributions.parameters import eps_of
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class Laplace(LocationScale):
    """Laplace distribution: the density falls off on both sides of `loc`, by the factor 1/e within `scale`."""

    @property
    def stddev(self) -> Handle:
        return math.sqrt(2) * self.scale

    @property
    def variance(self) -> Handle:
        return 2 * self.scale.pow(2)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        eps = eps_of(self.loc)  # keeps off -1, where the logarithm is not finite
        drawn = F.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype) * (2 - eps) + (eps - 1)
        return self.loc - self.scale * drawn.sign() * (-drawn.abs()).log1p()

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def cdf(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        distance = value - self.loc
        return 0.5 - 0.5 * distance.sign() * (-distance.abs() / self.scale).expm1()

    def icdf(self, value: Handle) -> Handle:
        term = value - 0.5
        return self.loc - self.scale * term.sign() * (-2 * term.abs()).log1p()

    def entropy(self) -> Handle:
        return 1 + (2 * self.scale).log()
