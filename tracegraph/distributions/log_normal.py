"""The log-normal distribution."""

from __future__ import annotations

from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.distribution import Distribution
from tracegraph.distributions.normal import Normal
from tracegraph.distributions.transformed_distribution import TransformedDistribution
from tracegraph.distributions.transforms import ExpTransform
from tracegraph.ops.core.definition import Handle


class LogNormal(TransformedDistribution):
    """Distribution of exp(X) for a normal X of mean `loc` and standard deviation `scale`."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.positive
    has_rsample = True

    base_dist: Normal

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args=validate_args), ExpTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any) -> Any:
        return Distribution.expand(self, batch_shape)

    def _parameters(self) -> dict[str, tuple[Handle, int]]:
        return {"loc": (self.loc, 0), "scale": (self.scale, 0)}

    @property
    def loc(self) -> Handle:
        return self.base_dist.loc

    @property
    def scale(self) -> Handle:
        return self.base_dist.scale

    @property
    def mean(self) -> Handle:
        return (self.loc + self.scale.pow(2) / 2).exp()

    @property
    def mode(self) -> Handle:
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Handle:
        squares = self.scale.pow(2)
        return squares.expm1() * (2 * self.loc + squares).exp()

    def entropy(self) -> Handle:
        return self.base_dist.entropy() + self.loc

    def __repr__(self) -> str:
        return Distribution.__repr__(self)
