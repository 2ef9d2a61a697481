"""The normal distribution."""

from __future__ import annotations

import math
from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.parameters import broadcast_all
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class Normal(Distribution):
    """Normal distribution of mean `loc` and standard deviation `scale`, which broadcast."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(tuple(self.loc.shape), validate_args=validate_args)

    @property
    def mean(self) -> Handle:
        return self.loc

    @property
    def mode(self) -> Handle:
        return self.loc

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
