"""The binomial distribution."""

from __future__ import annotations

from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.constraints import Constraint
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.parameters import broadcast_all, check_one_given, logits_to_probs, probs_to_logits
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class Binomial(Distribution):
    """How many of `total_count` independent trials succeed, each with `probs`, or with the odds exp(`logits`).

    Raises:
        ValueRangeError: both `probs` and `logits` are given, or none.
    """

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        check_one_given("Binomial", probs=probs, logits=logits)
        self._by_logits = probs is None
        given, total = broadcast_all(logits if probs is None else probs, total_count)
        self.total_count, self._given = total.to(given.dtype), given
        super().__init__(tuple(given.shape), validate_args=validate_args)

    @property
    def probs(self) -> Handle:
        """The probability of success."""
        return logits_to_probs(self._given, is_binary=True) if self._by_logits else self._given

    @property
    def logits(self) -> Handle:
        """The logarithm of the odds of success."""
        return self._given if self._by_logits else probs_to_logits(self._given, is_binary=True)

    def _parameters(self) -> dict[str, tuple[Handle, int]]:
        return {"total_count": (self.total_count, 0), "logits" if self._by_logits else "probs": (self._given, 0)}

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Handle:
        return self.total_count * self.probs

    @property
    def mode(self) -> Handle:
        return ((self.total_count + 1) * self.probs).floor().minimum(self.total_count)

    @property
    def variance(self) -> Handle:
        probs = self.probs
        return self.total_count * probs * (1 - probs)

    def sample(self, sample_shape: Shape = ()) -> Handle:
        shape = self._extended_shape(sample_shape)
        return F.binomial(self.total_count.expand(shape), self.probs.detach().expand(shape))

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        n, logits = self.total_count, self.logits
        choices = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        return choices + value * logits - n * F.softplus(logits)
