"""The Gumbel distribution."""

from __future__ import annotations

import math

from tracegraph.distributions.distribution import Shape
from tracegraph.distributions.location_scale import LocationScale
from tracegraph.distributions.parameters import eps_of, tiny_of
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle

_EULER = 0.57721566490153286060


class Gumbel(LocationScale):
    """Gumbel distribution, of the largest of many: its distribution function is exp(-exp(-(x - loc) / scale))."""

    @property
    def stddev(self) -> Handle:
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Handle:
        return self.stddev.pow(2)

    @property
    def mean(self) -> Handle:
        return self.loc + self.scale * _EULER

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        drawn = F.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        inner = drawn.clamp(min=tiny_of(drawn), max=1 - eps_of(drawn) / 2)
        return self.loc - self.scale * (-inner.log()).log()

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    def cdf(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        return (-((self.loc - value) / self.scale).exp()).exp()

    def icdf(self, value: Handle) -> Handle:
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Handle:
        return self.scale.log() + (1 + _EULER)
