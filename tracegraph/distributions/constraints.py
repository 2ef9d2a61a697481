"""Constraints on the parameters and on the values of distributions (`torch.distributions.constraints`).

A constraint checks tensors: `check` gives a bool for each event, of the shape of the tensor without its last
`event_dim` dimensions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from tracegraph.errors import ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle


class Constraint(ABC):
    """A set that tensors may lie in.

    Attributes:
        is_discrete: whether the set has no continuous part.
        event_dim: how many dimensions, the last ones, one value takes.
    """

    is_discrete: bool = False
    event_dim: int = 0

    @abstractmethod
    def check(self, value: Handle) -> Handle:
        """Whether each value lies in the set."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Dependent(Constraint):
    """A set that only other parameters determine; it is checked where they are known."""

    def check(self, value: Handle) -> Handle:
        raise ValueRangeError("a dependent constraint cannot be checked by itself")


def is_dependent(constraint: object) -> bool:
    """Whether a constraint depends on other parameters."""
    return isinstance(constraint, Dependent)


class Real(Constraint):
    """Everything but nan."""

    def check(self, value: Handle) -> Handle:
        return value.isnan().logical_not()


class Boolean(Constraint):
    """0 and 1."""

    is_discrete = True

    def check(self, value: Handle) -> Handle:
        return (value == 0) | (value == 1)


class Interval(Constraint):
    """Numbers between two bounds, both included."""

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound = lower_bound
        self.upper_bound = upper_bound

    def check(self, value: Handle) -> Handle:
        return (self.lower_bound <= value) & (value <= self.upper_bound)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(lower_bound={self.lower_bound}, upper_bound={self.upper_bound})"


class HalfOpenInterval(Interval):
    """Numbers between two bounds, the upper one excluded."""

    def check(self, value: Handle) -> Handle:
        return (self.lower_bound <= value) & (value < self.upper_bound)


class IntegerInterval(Interval):
    """Integers between two bounds, both included."""

    is_discrete = True

    def check(self, value: Handle) -> Handle:
        return (value % 1 == 0) & super().check(value)


class GreaterThan(Constraint):
    """Numbers above a bound."""

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound

    def check(self, value: Handle) -> Handle:
        return self.lower_bound < value

    def __repr__(self) -> str:
        return f"{type(self).__name__}(lower_bound={self.lower_bound})"


class GreaterThanEq(GreaterThan):
    """Numbers from a bound on."""

    def check(self, value: Handle) -> Handle:
        return self.lower_bound <= value


class IntegerGreaterThan(GreaterThan):
    """Integers from a bound on."""

    is_discrete = True

    def check(self, value: Handle) -> Handle:
        return (value % 1 == 0) & (value >= self.lower_bound)


class LessThan(Constraint):
    """Numbers below a bound."""

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Handle) -> Handle:
        return value < self.upper_bound

    def __repr__(self) -> str:
        return f"{type(self).__name__}(upper_bound={self.upper_bound})"


class Simplex(Constraint):
    """Vectors of numbers that are not negative and sum to 1."""

    event_dim = 1

    def check(self, value: Handle) -> Handle:
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class OneHot(Constraint):
    """Vectors of zeros and one 1."""

    is_discrete = True
    event_dim = 1

    def check(self, value: Handle) -> Handle:
        return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


class LowerTriangular(Constraint):
    """Square matrices that are zero above the diagonal."""

    event_dim = 2

    def check(self, value: Handle) -> Handle:
        return (value.tril() == value).flatten(-2).all(-1)


class LowerCholesky(LowerTriangular):
    """Lower triangular matrices with a positive diagonal."""

    def check(self, value: Handle) -> Handle:
        return super().check(value) & (F.diagonal(value, 0, -2, -1) > 0).all(-1)


class PositiveDefinite(Constraint):
    """Symmetric matrices with positive eigenvalues."""

    event_dim = 2

    def check(self, value: Handle) -> Handle:
        is_symmetric = ((value - value.mT).abs() <= 1e-6).flatten(-2).all(-1)
        return is_symmetric & (F.linalg_eigh(value)[0] > 0).all(-1)


class Independent(Constraint):
    """A constraint that holds for all of some dimensions, which together make one value."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims

    def check(self, value: Handle) -> Handle:
        holds = self.base_constraint.check(value)
        if holds.ndim < self.reinterpreted_batch_ndims:
            raise ValueRangeError(f"expected a value of at least {self.event_dim} dimensions, got {value.ndim}")
        for _ in range(self.reinterpreted_batch_ndims):
            holds = holds.all(-1)
        return holds

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


dependent = Dependent()
real = Real()
boolean = Boolean()
one_hot = OneHot()
simplex = Simplex()
unit_interval = Interval(0.0, 1.0)
positive = GreaterThan(0.0)
nonnegative = GreaterThanEq(0.0)
nonnegative_integer = IntegerGreaterThan(0)
positive_integer = IntegerGreaterThan(1)
lower_triangular = LowerTriangular()
lower_cholesky = LowerCholesky()
positive_definite = PositiveDefinite()
independent = Independent
real_vector = Independent(real, 1)
interval = Interval
half_open_interval = HalfOpenInterval
integer_interval = IntegerInterval
greater_than = GreaterThan
greater_than_eq = GreaterThanEq
less_than = LessThan
