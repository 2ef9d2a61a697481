"""The Bernoulli distribution, and what distributions over 0 and 1 have in common."""

from __future__ import annotations

from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.parameters import broadcast_all, check_one_given, logits_to_probs, probs_to_logits
from tracegraph.dtypes import promote_types
from tracegraph.errors import ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class BinaryDistribution(Distribution):
    """Base: a parameter that is given as probabilities of 1, or as logarithms of the odds."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        check_one_given(type(self).__name__, probs=probs, logits=logits)
        (self._given,) = broadcast_all(logits if probs is None else probs)
        self._by_logits = probs is None
        super().__init__(tuple(self._given.shape), validate_args=validate_args)

    @property
    def probs(self) -> Handle:
        """The probability of 1."""
        return logits_to_probs(self._given, is_binary=True) if self._by_logits else self._given

    @property
    def logits(self) -> Handle:
        """The logarithm of the odds of 1."""
        return self._given if self._by_logits else probs_to_logits(self._given, is_binary=True)

    @property
    def param_shape(self) -> Shape:
        return tuple(self._given.shape)

    def _parameters(self) -> dict[str, tuple[Handle, int]]:
        return {"logits" if self._by_logits else "probs": (self._given, 0)}


class Bernoulli(BinaryDistribution):
    """1 with the probability `probs`, else 0; or with the logarithm of the odds `logits`.

    Raises:
        ValueRangeError: both are given, or none.
    """

    support = constraints.boolean
    has_enumerate_support = True

    @property
    def mean(self) -> Handle:
        return self.probs

    @property
    def mode(self) -> Handle:
        probs = self.probs
        return (probs >= 0.5).to(probs.dtype).masked_fill(probs == 0.5, float("nan"))

    @property
    def variance(self) -> Handle:
        probs = self.probs
        return probs * (1 - probs)

    def sample(self, sample_shape: Shape = ()) -> Handle:
        return F.bernoulli(self.probs.detach().expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        dtype = promote_types(logits.dtype, value.dtype)
        return -F.binary_cross_entropy_with_logits(logits.to(dtype), value.to(dtype), reduction="none")

    def entropy(self) -> Handle:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Handle:
        values = F.arange(2, dtype=self._given.dtype).reshape((2,) + (1,) * len(self._batch_shape))
        return values.expand((2, *self._batch_shape)) if expand else values


class Geometric(BinaryDistribution):
    """The number of failures before the first success, of independent trials that succeed with `probs`.

    Raises:
        ValueRangeError: both `probs` and `logits` are given, or none.
    """

    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(probs, logits, validate_args)
        if self._validate_args and not self._by_logits and not (self._given > 0).all():
            raise ValueRangeError(f"Geometric: probs must be positive, found invalid values:\n{self._given}")

    @property
    def mean(self) -> Handle:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Handle:
        return F.zeros_like(self._given)

    @property
    def variance(self) -> Handle:
        probs = self.probs
        return (1.0 / probs - 1.0) / probs

    def sample(self, sample_shape: Shape = ()) -> Handle:
        probs = self.probs.detach()
        drawn = F.rand(self._extended_shape(sample_shape), dtype=probs.dtype)
        return ((-drawn).log1p() / (-probs).log1p()).floor()  # 1 - drawn is in (0, 1]

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        # never failing, and never having failed: 0 times -inf
        certain = (probs == 1) & (value == 0)
        return value * (-F.where(certain, 0.0, probs)).log1p() + self.probs.log()

    def entropy(self) -> Handle:
        probs = self.probs
        return F.binary_cross_entropy_with_logits(self.logits, probs, reduction="none") / probs
