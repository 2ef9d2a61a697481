"""What the families that are moved by `loc` and stretched by `scale` have in common."""

from __future__ import annotations

from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.distribution import Distribution
from tracegraph.distributions.parameters import broadcast_all
from tracegraph.ops.core.definition import Handle


class LocationScale(Distribution):
    """Base: distributions of loc + scale * X, for an X of no parameters, of mode 0 and, unless they say so, mean 0."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(tuple(self.loc.shape), validate_args=validate_args)

    @property
    def mean(self) -> Handle:
        return self.loc

    @property
    def mode(self) -> Handle:
        return self.loc
