"""The distribution of the absolute value of a normal variable."""

from __future__ import annotations

import math
from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.normal import Normal
from tracegraph.distributions.parameters import broadcast_all
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class HalfNormal(Distribution):
    """Distribution of |X| for a normal X of mean 0 and standard deviation `scale`."""

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = broadcast_all(scale)
        super().__init__(tuple(self.scale.shape), validate_args=validate_args)

    @property
    def base_dist(self) -> Normal:
        return Normal(0.0, self.scale, validate_args=False)

    @property
    def mean(self) -> Handle:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Handle:
        return F.zeros_like(self.scale)

    @property
    def variance(self) -> Handle:
        return self.scale.pow(2) * (1 - 2 / math.pi)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        return self.base_dist.rsample(sample_shape).abs()

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        found = self.base_dist.log_prob(value) + math.log(2)
        return found.masked_fill(value < 0, -math.inf)

    def cdf(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Handle) -> Handle:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Handle:
        return self.base_dist.entropy() - math.log(2)
