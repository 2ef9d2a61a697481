"""Distributions of functions of random variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracegraph.autograd.grad_mode import no_grad
from tracegraph.distributions import constraints
from tracegraph.distributions.constraints import Constraint
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.independent import Independent
from tracegraph.distributions.parameters import sum_rightmost
from tracegraph.distributions.transforms import ComposeTransform, Transform
from tracegraph.errors import ValueRangeError
from tracegraph.ops.core.arguments import described
from tracegraph.ops.core.definition import Handle


class TransformedDistribution(Distribution):
    """The distribution of f(X), for X of a base distribution and one or several transforms f in order.

    Raises:
        ValueRangeError: `transforms` holds something else.
    """

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        for t in self.transforms:
            if not isinstance(t, Transform):
                raise ValueRangeError(f"transforms must be a Transform or a list of Transforms, got {described(t)}")
        whole = ComposeTransform(self.transforms)
        shape = whole.forward_shape(base_distribution.batch_shape + base_distribution.event_shape)
        base_dims = len(base_distribution.event_shape)
        base = base_distribution.expand(whole.inverse_shape(shape)[: len(shape) - base_dims])
        missing = whole.domain.event_dim - base_dims if self.transforms else 0
        self.base_dist = Independent(base, missing) if missing > 0 else base
        changed = whole.codomain.event_dim - whole.domain.event_dim if self.transforms else 0
        events = (
            max(whole.codomain.event_dim, len(self.base_dist.event_shape) + changed) if self.transforms else base_dims
        )
        split = len(shape) - events
        super().__init__(tuple(shape[:split]), tuple(shape[split:]), validate_args=validate_args)

    def expand(self, batch_shape: Any) -> Any:
        whole = ComposeTransform(self.transforms)
        shape = whole.inverse_shape((*batch_shape, *self._event_shape))
        base = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        return TransformedDistribution(base, self.transforms, validate_args=self._validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def support(self) -> Constraint | None:
        if not self.transforms:
            return self.base_dist.support
        found = self.transforms[-1].codomain
        missing = len(self._event_shape) - found.event_dim
        return constraints.independent(found, missing) if missing > 0 else found

    def sample(self, sample_shape: Shape = ()) -> Handle:
        with no_grad():
            return self._transformed(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        return self._transformed(self.base_dist.rsample(sample_shape))

    def _transformed(self, x: Handle) -> Handle:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        total: Handle = 0.0
        dims, y = len(self._event_shape), value
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            dims += transform.domain.event_dim - transform.codomain.event_dim
            slope = transform.log_abs_det_jacobian(x, y)
            total = total - sum_rightmost(slope, dims - transform.domain.event_dim)
            y = x
        return total + sum_rightmost(self.base_dist.log_prob(y), dims - len(self.base_dist.event_shape))

    def cdf(self, value: Handle) -> Handle:
        """The probability of a sample up to `value`; it is the base distribution that checks its argument."""
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        return self._by_direction(self.base_dist.cdf(value))

    def icdf(self, value: Handle) -> Handle:
        return self._transformed(self.base_dist.icdf(self._by_direction(value)))

    def _by_direction(self, probability: Handle) -> Handle:
        """Where the transforms fall, probabilities count from the other end."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int):
            return probability if sign == 1 else 1 - probability
        return sign * (probability - 0.5) + 0.5

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist!r}, {self.transforms!r})"
