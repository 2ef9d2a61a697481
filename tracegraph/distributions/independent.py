"""Batch dimensions of a distribution taken as dimensions of one value."""

from __future__ import annotations

from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.constraints import Constraint
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.parameters import sum_rightmost
from tracegraph.errors import MissingRuleError, ShapeError
from tracegraph.ops.core.definition import Handle


class Independent(Distribution):
    """`base_distribution` with its last `reinterpreted_batch_ndims` batch dimensions as part of a value.

    Raises:
        ShapeError: it has fewer batch dimensions.
    """

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        batch, count = base_distribution.batch_shape, reinterpreted_batch_ndims
        if count > len(batch):
            raise ShapeError(
                f"Expected reinterpreted_batch_ndims <= {len(batch)}, the number of batch dimensions, got {count}"
            )
        split = len(batch) - count
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = count
        super().__init__(batch[:split], batch[split:] + base_distribution.event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any) -> Independent:
        split = len(self._event_shape) - len(self.base_dist.event_shape)
        base = self.base_dist.expand((*batch_shape, *self._event_shape[:split]))
        return Independent(base, self.reinterpreted_batch_ndims, validate_args=self._validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return not self.reinterpreted_batch_ndims and self.base_dist.has_enumerate_support

    @property
    def support(self) -> Constraint | None:
        base, count = self.base_dist.support, self.reinterpreted_batch_ndims
        return constraints.independent(base, count) if base is not None and count else base

    @property
    def mean(self) -> Handle:
        return self.base_dist.mean

    @property
    def mode(self) -> Handle:
        return self.base_dist.mode

    @property
    def variance(self) -> Handle:
        return self.base_dist.variance

    def sample(self, sample_shape: Shape = ()) -> Handle:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Handle) -> Handle:
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Handle:
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Handle:
        if self.reinterpreted_batch_ndims:
            raise MissingRuleError("Independent has no enumerate_support: the values are products of those of its base")
        return self.base_dist.enumerate_support(expand)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist!r}, {self.reinterpreted_batch_ndims})"
