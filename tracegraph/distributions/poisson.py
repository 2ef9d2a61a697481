"""The Poisson distribution."""

from __future__ import annotations

from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.parameters import broadcast_all
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class Poisson(Distribution):
    """Poisson distribution: the count of independent events of which `rate` are expected."""

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(tuple(self.rate.shape), validate_args=validate_args)

    @property
    def mean(self) -> Handle:
        return self.rate

    @property
    def mode(self) -> Handle:
        return self.rate.floor()

    @property
    def variance(self) -> Handle:
        return self.rate

    def sample(self, sample_shape: Shape = ()) -> Handle:
        return F.poisson(self.rate.detach().expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        rate, value = broadcast_all(self.rate, value)
        return F.xlogy(value, rate) - rate - (value + 1).lgamma()
