"""The binomial distribution."""

from __future__ import annotations

from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.bernoulli import BinaryDistribution
from tracegraph.distributions.constraints import Constraint
from tracegraph.distributions.distribution import Shape
from tracegraph.distributions.parameters import broadcast_all, check_one_given
from tracegraph.errors import MissingRuleError
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class Binomial(BinaryDistribution):
    """How many of `total_count` independent trials succeed, each with `probs`, or with the odds exp(`logits`).

    Raises:
        ValueRangeError: both `probs` and `logits` are given, or none.
    """

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        check_one_given("Binomial", probs=probs, logits=logits)
        given, total = broadcast_all(logits if probs is None else probs, total_count)
        self.total_count = total.to(given.dtype)
        probs, logits = (None, given) if probs is None else (given, None)
        super().__init__(probs, logits, validate_args)

    def _parameters(self) -> dict[str, tuple[Handle, int]]:
        return {"total_count": (self.total_count, 0), **super()._parameters()}

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Handle:
        return self.total_count * self.probs

    @property
    def mode(self) -> Handle:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

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

    def entropy(self) -> Handle:
        """Of counts that are all equal."""
        scores = self.log_prob(self.enumerate_support(expand=False))
        return -(scores.exp() * scores).sum(0)

    def enumerate_support(self, expand: bool = True) -> Handle:
        """All numbers of successes, 0 to `total_count`.

        Raises:
            MissingRuleError: the elements of `total_count` differ.
        """
        most = self.total_count.max()
        if not (self.total_count == most).all():
            raise MissingRuleError("Binomial has no list of values where the elements of total_count differ")
        values = F.arange(int(most) + 1, dtype=self._given.dtype).reshape((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values
