"""Mixtures of distributions of one kind."""

from __future__ import annotations

from typing import Any

from tracegraph.distributions.categorical import Categorical
from tracegraph.distributions.constraints import Constraint
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ops.core.arguments import described
from tracegraph.ops.core.definition import Handle
from tracegraph.ops.core.promotion import broadcast_shapes


class MixtureSameFamily(Distribution):
    """A draw from one of K components, chosen by a categorical distribution.

    Args:
        mixture_distribution: Categorical over K categories, of the batch shape of the mixture.
        component_distribution: of batch shape [..., K].

    Raises:
        ValueRangeError: the mixture is no Categorical.
        ShapeError: the numbers of components differ.
    """

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueRangeError(
                f"MixtureSameFamily: the mixture must be a Categorical, got {described(mixture_distribution)}"
            )
        batch = component_distribution.batch_shape
        count = mixture_distribution.param_shape[-1]
        if (
            not batch
            or batch[-1] != count
            or broadcast_shapes(mixture_distribution.batch_shape, batch[:-1]) != batch[:-1]
        ):
            raise ShapeError(
                f"MixtureSameFamily: a mixture of batch shape {mixture_distribution.batch_shape} and {count} "
                f"categories does not fit components of batch shape {batch}"
            )
        self.mixture_distribution = mixture_distribution
        self.component_distribution = component_distribution
        super().__init__(batch[:-1], component_distribution.event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any) -> MixtureSameFamily:
        component = self.component_distribution.expand((*batch_shape, self.mixture_distribution.param_shape[-1]))
        return MixtureSameFamily(self.mixture_distribution.expand(batch_shape), component, self._validate_args)

    @property
    def support(self) -> Constraint | None:
        return self.component_distribution.support

    @property
    def _weights(self) -> Handle:
        """The probabilities of the components, with the dimensions of one value."""
        probs = self.mixture_distribution.probs
        return probs.reshape(tuple(probs.shape) + (1,) * len(self._event_shape))

    @property
    def _axis(self) -> int:
        return -1 - len(self._event_shape)

    @property
    def mean(self) -> Handle:
        return (self._weights * self.component_distribution.mean).sum(self._axis)

    @property
    def variance(self) -> Handle:
        within = (self._weights * self.component_distribution.variance).sum(self._axis)
        deviation = self.component_distribution.mean - self.mean.unsqueeze(self._axis)
        return within + (self._weights * deviation.pow(2)).sum(self._axis)

    def sample(self, sample_shape: Shape = ()) -> Handle:
        shape = tuple(sample_shape)
        chosen = self.mixture_distribution.expand(self._batch_shape).sample(shape)
        drawn = self.component_distribution.sample(shape)
        index = chosen.reshape((*chosen.shape, 1) + (1,) * len(self._event_shape))
        index = index.expand((*chosen.shape, 1, *self._event_shape))
        return drawn.gather(self._axis, index).squeeze(self._axis)

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        logits = self.mixture_distribution.logits
        return (self.component_distribution.log_prob(value.unsqueeze(self._axis)) + logits).logsumexp(-1)

    def cdf(self, value: Handle) -> Handle:
        return (self.component_distribution.cdf(value.unsqueeze(self._axis)) * self.mixture_distribution.probs).sum(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self.mixture_distribution!r}, {self.component_distribution!r})"
