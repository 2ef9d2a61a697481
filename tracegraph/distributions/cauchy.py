"""The Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.parameters import broadcast_all
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class Cauchy(Distribution):
    """Cauchy distribution of median `loc` and half width at half maximum `scale`; it has no mean and no variance."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(tuple(self.loc.shape), validate_args=validate_args)

    @property
    def mean(self) -> Handle:
        return F.full_like(self.loc, math.nan)

    @property
    def mode(self) -> Handle:
        return self.loc

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
