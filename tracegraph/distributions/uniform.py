"""The uniform distribution."""

from __future__ import annotations

import math
from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.constraints import Constraint
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.parameters import broadcast_all
from tracegraph.errors import ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class Uniform(Distribution):
    """Uniform distribution on [low, high).

    Raises:
        ValueRangeError: an interval is empty.
    """

    arg_constraints = {"low": constraints.dependent, "high": constraints.dependent}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_all(low, high)
        super().__init__(tuple(self.low.shape), validate_args=validate_args)
        if self._validate_args and not (self.low < self.high).all():
            raise ValueRangeError("Uniform: every low must be less than its high")

    @property
    def support(self) -> Constraint:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Handle:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Handle:
        return F.full_like(self.high, math.nan)

    @property
    def variance(self) -> Handle:
        return (self.high - self.low).pow(2) / 12

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        drawn = F.rand(self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + drawn * (self.high - self.low)

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        inside = (self.low <= value) & (value < self.high)
        return inside.to(self.low.dtype).log() - (self.high - self.low).log()

    def cdf(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value: Handle) -> Handle:
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Handle:
        return (self.high - self.low).log()
