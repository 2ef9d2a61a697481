"""Continuous relaxations of discrete distributions, whose samples have gradients.

Maddison, Mnih, Teh (2017), "The concrete distribution"; Jang, Gu, Poole (2017), "Categorical reparameterization with
Gumbel-softmax".
"""

from __future__ import annotations

import math
from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.bernoulli import BinaryDistribution
from tracegraph.distributions.categorical import CategoricalParameters
from tracegraph.distributions.distribution import Shape
from tracegraph.distributions.gumbel import Gumbel
from tracegraph.distributions.parameters import clamp_probs, eps_of, probs_to_logits
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class RelaxedBernoulli(BinaryDistribution):
    """Numbers in [0, 1], nearly 0 or 1 where `temperature` is low.

    Raises:
        ValueRangeError: both `probs` and `logits` are given, or none.
    """

    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def expand(self, batch_shape: Any) -> RelaxedBernoulli:
        given = self._given.expand(tuple(batch_shape))
        probs, logits = (None, given) if self._by_logits else (given, None)
        return RelaxedBernoulli(self.temperature, probs, logits, self._validate_args)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        noise = F.rand(self._extended_shape(sample_shape), dtype=self._given.dtype)
        odds = probs_to_logits(clamp_probs(noise), is_binary=True)
        drawn = ((self.logits + odds) / self.temperature).sigmoid()
        return drawn.clamp(min=0.0, max=1 - eps_of(drawn) / 2)

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        odds = probs_to_logits(value, is_binary=True)
        difference = self.logits - odds * self.temperature
        of_odds = F.full_like(odds, 1.0).mul(self.temperature).log() + difference - 2 * F.softplus(difference)
        return of_odds + F.softplus(-odds) + F.softplus(odds)


class RelaxedOneHotCategorical(CategoricalParameters):
    """Vectors of probabilities, nearly one-hot where `temperature` is low.

    Raises:
        ValueRangeError: both `probs` and `logits` are given, or none.
    """

    support = constraints.simplex
    has_rsample = True
    has_enumerate_support = False

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def _event_of(self, categories: int) -> Shape:
        return (categories,)

    def expand(self, batch_shape: Any) -> RelaxedOneHotCategorical:
        given = self.logits if self._by_logits else self.probs
        given = given.expand((*batch_shape, *self._event_shape))
        probs, logits = (None, given) if self._by_logits else (given, None)
        return RelaxedOneHotCategorical(self.temperature, probs, logits, self._validate_args)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        zeros = F.zeros(self._extended_shape(sample_shape), dtype=self.logits.dtype)
        noise = Gumbel(zeros, 1.0, validate_args=False).rsample()
        return ((self.logits + noise) / self.temperature).softmax(-1)

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        count = self._event_shape[0]
        score = self.logits - value.log() * self.temperature
        score = (score - score.logsumexp(-1, keepdim=True)).sum(-1) - value.log().sum(-1)
        scale = F.full_like(score, 1.0).mul(self.temperature).log()
        return score + math.lgamma(count) + (count - 1) * scale

    def entropy(self) -> Handle:
        # that of the categories is another one
        raise self._missing("entropy")
