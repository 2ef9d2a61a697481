"""The base of all distributions: shapes, checks, and what follows from the rules of a distribution.

`batch_shape` are the independent distributions that one object stands for, each with parameters of its own;
`event_shape` is the shape of one value. A sample has the shape sample_shape + batch_shape + event_shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tracegraph.autograd.grad_mode import no_grad
from tracegraph.distributions.constraints import Constraint, is_dependent
from tracegraph.errors import ArgumentError, MissingRuleError, ShapeError, ValueRangeError
from tracegraph.ops.core.arguments import described
from tracegraph.ops.core.definition import Handle
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.tensor.questions import is_tensor

#: of ints, or of what stands for sizes that vary
Shape = tuple[Any, ...]


class Distribution:
    """A probability distribution. Derive from it, and give what can be given of the rules.

    Class attributes:
        arg_constraints: the parameters and what holds for them; those that are attributes of the instance itself are
            checked.
        has_rsample: whether samples have gradients with respect to the parameters.
        has_enumerate_support: whether all values can be listed.

    Rules:
        support: the constraint that all values fulfil.
        rsample(self, sample_shape): samples with gradients; or `sample`.
        log_prob, cdf, icdf, entropy, mean, mode, variance, enumerate_support.

    Args:
        validate_args: check parameters and values; default: `set_default_validate_args`.

    Raises:
        ValueRangeError: a parameter does not satisfy its constraint.
    """

    arg_constraints: ClassVar[Mapping[str, Constraint]] = {}
    has_rsample: bool = False
    has_enumerate_support: bool = False
    _validate_args: bool = __debug__

    def __init__(self, batch_shape: Shape = (), event_shape: Shape = (), validate_args: bool | None = None) -> None:
        self._batch_shape = batch_shape
        self._event_shape = event_shape
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _check_parameters(self) -> None:
        for name, (value, _) in self._parameters().items():
            constraint = self.arg_constraints[name]
            if is_dependent(constraint):
                continue
            valid = constraint.check(value)
            if not valid.all():
                raise ValueRangeError(
                    f"Expected parameter {name} (Tensor of shape {tuple(value.shape)}) of distribution {self!r} to "
                    f"satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check their arguments that are made without `validate_args`.

        Raises:
            ArgumentError: `value` is no bool.
        """
        if not isinstance(value, bool):
            raise ArgumentError(f"set_default_validate_args: expected True or False, got {described(value)}")
        Distribution._validate_args = value

    @property
    def batch_shape(self) -> Shape:
        return self._batch_shape

    @property
    def event_shape(self) -> Shape:
        return self._event_shape

    # ---------------------------------------------------------------------------------- rules

    @property
    def support(self) -> Constraint | None:
        """What all values fulfil; None if that is not known, and values are not checked."""
        return None

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        """Samples with gradients with respect to the parameters."""
        raise self._missing("rsample")

    def sample(self, sample_shape: Shape = ()) -> Handle:
        """Samples without gradients, of shape sample_shape + batch_shape + event_shape."""
        with no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Handle) -> Handle:
        """Logarithm of the density (or of the probability, for discrete values) at `value`."""
        raise self._missing("log_prob")

    def cdf(self, value: Handle) -> Handle:
        """The probability of a sample up to `value`."""
        raise self._missing("cdf")

    def icdf(self, value: Handle) -> Handle:
        """The number up to which samples lie with the probability `value`."""
        raise self._missing("icdf")

    def entropy(self) -> Handle:
        """The entropy in nats, of shape batch_shape."""
        raise self._missing("entropy")

    def enumerate_support(self, expand: bool = True) -> Handle:
        """All values, along a new first dimension; with batch dimensions of size 1 unless `expand`."""
        raise self._missing("enumerate_support")

    @property
    def mean(self) -> Handle:
        raise self._missing("mean")

    @property
    def mode(self) -> Handle:
        raise self._missing("mode")

    @property
    def variance(self) -> Handle:
        raise self._missing("variance")

    def _missing(self, rule: str) -> MissingRuleError:
        return MissingRuleError(f"{type(self).__name__} has no {rule}")

    # ---------------------------------------------------------------------------------- what follows

    @property
    def stddev(self) -> Handle:
        return self.variance.sqrt()

    def perplexity(self) -> Handle:
        """exp(entropy)."""
        return self.entropy().exp()

    def expand(self, batch_shape: Any) -> Any:
        """This distribution with its parameters expanded to `batch_shape`."""
        shape = tuple(batch_shape)
        given = {name: _expanded(value, shape, dim) for name, (value, dim) in self._parameters().items()}
        expanded = self._remade(**given, validate_args=False)
        expanded._validate_args = self._validate_args
        return expanded

    def _remade(self, **given: Any) -> Any:
        """A distribution like this one with other parameters; to be given where others than `_parameters` are."""
        return type(self)(**given)

    def _parameters(self) -> dict[str, tuple[Handle, int]]:
        """The arguments that make this distribution, each with the number of dimensions of one value."""
        return {
            name: (getattr(self, name), constraint.event_dim)
            for name, constraint in self.arg_constraints.items()
            if name in self.__dict__
        }

    def _extended_shape(self, sample_shape: Any = ()) -> Shape:
        """The shape of samples."""
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def _validate_sample(self, value: Handle) -> None:
        """Check an argument of `log_prob` and the like.

        Raises:
            ValueRangeError: it is no tensor, does not have the shape of an event, or is no value of the distribution.
        """
        if not is_tensor(value):
            raise ValueRangeError(f"The value argument to log_prob must be a Tensor, got {described(value)}")
        events = len(self._event_shape)
        if tuple(value.shape[value.ndim - events :]) != self._event_shape:
            raise ShapeError(
                f"The right-most size of value must match event_shape: {tuple(value.shape)} vs {self._event_shape}."
            )
        broadcast_shapes(tuple(value.shape), self._batch_shape + self._event_shape)
        support = self.support
        if support is None:
            return
        valid = support.check(value)
        if not valid.all():
            raise ValueRangeError(
                f"Expected value argument (Tensor of shape {tuple(value.shape)}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        found = []
        for name, (value, _) in self._parameters().items():
            text = value if value.numel() == 1 else tuple(value.shape)
            found.append(f"{name}: {text}")
        return f"{type(self).__name__}({', '.join(found)})"


def _expanded(value: Handle, batch_shape: Shape, event_dim: int) -> Handle:
    return value.expand(batch_shape + tuple(value.shape[value.ndim - event_dim :]))
