"""The Dirichlet distribution, of probabilities, and its case of two, the beta distribution."""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.distributions import constraints
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.gamma import standard_gamma
from tracegraph.distributions.parameters import broadcast_all, eps_of, tiny_of
from tracegraph.errors import DTypeError, ShapeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle
from tracegraph.ops.core.shapes import describe


def _shares(concentration: Handle) -> Handle:
    """Gamma variables divided by their sum over the last dimension; in float64, where few are too small.

    Raises:
        DTypeError: the parameters are integers.
    """
    if not concentration.dtype.is_floating:
        raise DTypeError(f"Dirichlet: samples need a floating concentration, got {describe(concentration)}")
    drawn = standard_gamma(concentration.to(dtypes.float64)).clamp(min=2.0**-1000)
    return (drawn / drawn.sum(-1, keepdim=True)).to(concentration.dtype)


class Dirichlet(Distribution):
    """Dirichlet distribution of vectors of probabilities, of the parameters `concentration` [..., K].

    Raises:
        ShapeError: the parameter has no dimension.
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ShapeError(f"Dirichlet: concentration {describe(concentration)} must have at least one dimension")
        self.concentration = concentration
        shape = tuple(concentration.shape)
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Handle:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Handle:
        above = (self.concentration - 1).clamp(min=0.0)
        found = above / above.sum(-1, keepdim=True)
        at_corner = (self.concentration < 1).all(-1, keepdim=True)
        largest = F.one_hot(self.concentration.argmax(-1), self.concentration.shape[-1]).to(found.dtype)
        return F.where(at_corner, largest, found)

    @property
    def variance(self) -> Handle:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        return _shares(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        a = self.concentration
        return F.xlogy(a - 1.0, value).sum(-1) + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def entropy(self) -> Handle:
        a = self.concentration
        count, total = a.shape[-1], a.sum(-1)
        normaliser = a.lgamma().sum(-1) - total.lgamma()
        return normaliser - (count - total) * total.digamma() - ((a - 1.0) * a.digamma()).sum(-1)


class Beta(Distribution):
    """Beta distribution on [0, 1] of parameters `concentration1` (alpha) and `concentration0` (beta)."""

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(tuple(self.concentration1.shape), validate_args=validate_args)

    @property
    def _pair(self) -> Dirichlet:
        return Dirichlet(F.stack([self.concentration1, self.concentration0], -1), validate_args=False)

    @property
    def mean(self) -> Handle:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Handle:
        return self._pair.mode[..., 0]

    @property
    def variance(self) -> Handle:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        drawn = self._pair.rsample(sample_shape)[..., 0]
        return drawn.clamp(min=tiny_of(drawn), max=1 - eps_of(drawn) / 2)

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        return self._pair.log_prob(F.stack([value, 1.0 - value], -1))

    def entropy(self) -> Handle:
        return self._pair.entropy()
