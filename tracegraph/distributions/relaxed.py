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
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.gumbel import Gumbel
from tracegraph.distributions.parameters import clamp_probs, probs_to_logits
from tracegraph.distributions.transformed_distribution import TransformedDistribution
from tracegraph.distributions.transforms import ExpTransform, SigmoidTransform, Transform
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


def _log(temperature: Any, like: Handle) -> Handle:
    """The logarithm of a temperature, a number or a tensor, in the shape of `like` or one that it broadcasts to."""
    return F.full_like(like, 1.0).mul(temperature).log()


class LogitRelaxedBernoulli(BinaryDistribution):
    """The logarithms of the odds of numbers in (0, 1), which are nearly 0 or 1 where `temperature` is low.

    Raises:
        ValueRangeError: both `probs` and `logits` are given, or none.
    """

    support = constraints.real
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def _remade(self, **given: Any) -> LogitRelaxedBernoulli:
        return type(self)(self.temperature, **given)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        noise = F.rand(self._extended_shape(sample_shape), dtype=self._given.dtype)
        return (self.logits + probs_to_logits(clamp_probs(noise), is_binary=True)) / self.temperature

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        difference = self.logits - value * self.temperature
        return _log(self.temperature, difference) + difference - 2 * F.softplus(difference)


class ExpRelaxedCategorical(CategoricalParameters):
    """The logarithms of vectors of probabilities, which are nearly one-hot where `temperature` is low.

    Raises:
        ValueRangeError: both `probs` and `logits` are given, or none.
    """

    # the vectors are those of a simplex, but rounding would not let their logarithms be checked
    support = constraints.real_vector
    has_rsample = True
    has_enumerate_support = False

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def _event_of(self, categories: int) -> Shape:
        return (categories,)

    def _remade(self, **given: Any) -> ExpRelaxedCategorical:
        return type(self)(self.temperature, **given)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        zeros = F.zeros(self._extended_shape(sample_shape), dtype=self.logits.dtype)
        noise = Gumbel(zeros, 1.0, validate_args=False).rsample()
        scores = (self.logits + noise) / self.temperature
        return scores - scores.logsumexp(-1, keepdim=True)

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        count = self._num_events
        score = self.logits - value * self.temperature
        score = (score - score.logsumexp(-1, keepdim=True)).sum(-1)
        return score + math.lgamma(count) + (count - 1) * _log(self.temperature, score)

    def entropy(self) -> Handle:
        # that of the categories is another one
        raise self._missing("entropy")


class _Relaxed(TransformedDistribution):
    """Base: the numbers, of the logarithms that a distribution with a temperature gives."""

    base_dist: LogitRelaxedBernoulli | ExpRelaxedCategorical
    has_rsample = True

    def __init__(self, base: Distribution, transform: Transform, validate_args: bool | None) -> None:
        super().__init__(base, transform, validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        return self.base_dist.temperature

    @property
    def probs(self) -> Handle:
        return self.base_dist.probs

    @property
    def logits(self) -> Handle:
        return self.base_dist.logits

    def expand(self, batch_shape: Any) -> Any:
        return Distribution.expand(self, batch_shape)

    def _parameters(self) -> dict[str, tuple[Handle, int]]:
        return self.base_dist._parameters()

    def _remade(self, **given: Any) -> Any:
        return type(self)(self.temperature, **given)

    def __repr__(self) -> str:
        return Distribution.__repr__(self)


class RelaxedBernoulli(_Relaxed):
    """Numbers in [0, 1], nearly 0 or 1 where `temperature` is low.

    Raises:
        ValueRangeError: both `probs` and `logits` are given, or none.
    """

    arg_constraints = LogitRelaxedBernoulli.arg_constraints
    support = constraints.unit_interval

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits, validate_args)
        super().__init__(base, SigmoidTransform(), validate_args)


class RelaxedOneHotCategorical(_Relaxed):
    """Vectors of probabilities, nearly one-hot where `temperature` is low.

    Raises:
        ValueRangeError: both `probs` and `logits` are given, or none.
    """

    arg_constraints = ExpRelaxedCategorical.arg_constraints
    support = constraints.simplex

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args)
        super().__init__(base, ExpTransform(), validate_args)
