"""The normal distribution of vectors."""

from __future__ import annotations

import math
from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.parameters import check_one_given
from tracegraph.dtypes import promote_types
from tracegraph.errors import ShapeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.ops.core.shapes import describe, equal


class MultivariateNormal(Distribution):
    """Normal distribution of vectors of mean `loc` [..., K] and one of covariance, precision or its factor.

    Args:
        covariance_matrix: [..., K, K], positive definite.
        precision_matrix: its inverse.
        scale_tril: lower triangular L with positive diagonal, the covariance being L L^T; the cheapest.

    Raises:
        ValueRangeError: none of the three is given, or several are.
        ShapeError: a vector without dimension, or a matrix with less than two, or they do not fit.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        check_one_given("MultivariateNormal", **given)
        ((name, matrix),) = [(n, m) for n, m in given.items() if m is not None]
        if loc.ndim < 1 or matrix.ndim < 2:
            raise ShapeError(
                f"MultivariateNormal: loc {describe(loc)} and {name} {describe(matrix)} must be at least a vector and "
                "a matrix"
            )
        if not equal(loc.shape[-1], matrix.shape[-1]) or not equal(loc.shape[-1], matrix.shape[-2]):
            raise ShapeError(f"MultivariateNormal: loc {describe(loc)} and {name} {describe(matrix)} do not fit")
        batch = broadcast_shapes(tuple(matrix.shape[:-2]), tuple(loc.shape[:-1]))
        self.loc = loc.expand((*batch, -1))
        matrix = matrix.expand((*batch, -1, -1))
        setattr(self, name, matrix)
        super().__init__(tuple(batch), tuple(self.loc.shape[-1:]), validate_args=validate_args)
        self._factor = _factor_of_inverse(matrix) if name == "precision_matrix" else matrix
        if name == "covariance_matrix":
            self._factor = F.cholesky(matrix)

    def __getattr__(self, name: str) -> Any:
        """The forms of the covariance that were not given, computed whenever they are asked for."""
        if name in self.arg_constraints and "_factor" in self.__dict__:
            if name == "scale_tril":
                return self._factor
            covariance = self._factor @ self._factor.mT
            return covariance if name == "covariance_matrix" else F.inverse(covariance)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def mean(self) -> Handle:
        return self.loc

    @property
    def mode(self) -> Handle:
        return self.loc

    @property
    def variance(self) -> Handle:
        return self._factor.pow(2).sum(-1)

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        noise = F.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self._factor @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        distance = mahalanobis(self._factor, value - self.loc)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - self._half_log_det()

    def entropy(self) -> Handle:
        return 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._half_log_det()

    def _half_log_det(self) -> Handle:
        return F.diagonal(self._factor, 0, -2, -1).log().sum(-1)


def mahalanobis(factor: Handle, deviation: Handle) -> Handle:
    """The squares of L^-1 x summed, for factors L [..., K, K] and vectors x [..., K], which broadcast."""
    dtype = promote_types(factor.dtype, deviation.dtype)
    columns = deviation.to(dtype).unsqueeze(-1)
    return F.linalg_solve_triangular(factor.to(dtype), columns, upper=False).pow(2).sum((-2, -1))


def _factor_of_inverse(matrix: Handle) -> Handle:
    """The lower Cholesky factor of the inverse: of a matrix turned about both axes, its factor inverts in place."""
    turned = F.cholesky(F.flip(matrix, (-2, -1)))
    upper = F.flip(turned, (-2, -1)).mT
    identity = F.eye(matrix.shape[-1], dtype=matrix.dtype)
    return F.linalg_solve_triangular(upper, identity.expand(tuple(matrix.shape)), upper=False)
