"""Distributions over categories: by number, and as one-hot vectors."""

from __future__ import annotations

import math
from typing import Any

from tracegraph import dtypes
from tracegraph.distributions import constraints
from tracegraph.distributions.constraints import Constraint
from tracegraph.distributions.distribution import Distribution, Shape
from tracegraph.distributions.parameters import check_one_given, logits_to_probs, probs_to_logits
from tracegraph.errors import ShapeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle
from tracegraph.ops.core.shapes import describe
from tracegraph.tensor.questions import finfo


class CategoricalParameters(Distribution):
    """Base: probabilities of categories, or logarithms of them, in the last dimension.

    Both are normalised: `probs` to the sum 1, `logits` to those of such probabilities.

    Raises:
        ValueRangeError: both `probs` and `logits` are given, or none.
        ShapeError: the parameter has no dimension.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        name = type(self).__name__
        check_one_given(name, probs=probs, logits=logits)
        given = logits if probs is None else probs
        if given.ndim < 1:
            raise ShapeError(f"{name}: {describe(given)} must have at least one dimension, the categories")
        if probs is None:
            self.logits = given - given.logsumexp(-1, keepdim=True)
        else:
            self.probs = given / given.sum(-1, keepdim=True)
        self._by_logits = probs is None
        categories = given.shape[-1]
        event_shape = self._event_of(categories)
        super().__init__(tuple(given.shape[:-1]), event_shape, validate_args=validate_args)

    def _event_of(self, categories: int) -> Shape:
        """The shape of one value."""
        return ()

    def __getattr__(self, name: str) -> Any:
        """`probs` of `logits`, or the other way round: computed whenever it is asked for, in the grad mode of then."""
        if name == "probs" and "logits" in self.__dict__:
            return logits_to_probs(self.logits)
        if name == "logits" and "probs" in self.__dict__:
            return probs_to_logits(self.probs)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def param_shape(self) -> Shape:
        return tuple((self.logits if self._by_logits else self.probs).shape)

    @property
    def _num_events(self) -> int:
        return self.param_shape[-1]

    def _draw(self, sample_shape: Any) -> Handle:
        """Numbers of categories, of shape sample_shape + batch_shape."""
        probs, shape = self.probs.detach(), (*sample_shape, *self._batch_shape)
        count = math.prod(sample_shape)
        if count == 0:
            return F.zeros(shape, dtype=dtypes.int64)
        drawn = F.multinomial(probs.reshape((-1, self._num_events)), count, True)
        return drawn.T.reshape(shape)

    def entropy(self) -> Handle:
        # a category that cannot be contributes nothing
        logits = self.logits.clamp(min=finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)


class Categorical(CategoricalParameters):
    """A number from 0 to K - 1, drawn with the probabilities `probs` [..., K], or those of `logits` [..., K]."""

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Handle:
        return F.full(self._batch_shape, math.nan, dtype=self.probs.dtype)

    @property
    def mode(self) -> Handle:
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Handle:
        return F.full(self._batch_shape, math.nan, dtype=self.probs.dtype)

    def sample(self, sample_shape: Shape = ()) -> Handle:
        return self._draw(sample_shape)

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        value, logits = F.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return logits.gather(-1, value[..., :1]).squeeze(-1)

    def enumerate_support(self, expand: bool = True) -> Handle:
        values = F.arange(self._num_events).reshape((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values


class OneHotCategorical(CategoricalParameters):
    """A vector of zeros with 1 at a place drawn with the probabilities `probs` [..., K], or those of `logits`."""

    support = constraints.one_hot

    def _event_of(self, categories: int) -> Shape:
        return (categories,)

    @property
    def mean(self) -> Handle:
        return self.probs

    @property
    def mode(self) -> Handle:
        return self._one_hot(self.probs.argmax(-1))

    @property
    def variance(self) -> Handle:
        return self.probs * (1 - self.probs)

    def _one_hot(self, category: Handle) -> Handle:
        return F.one_hot(category, self._num_events).to(self.probs.dtype)

    def sample(self, sample_shape: Shape = ()) -> Handle:
        return self._one_hot(self._draw(sample_shape))

    def log_prob(self, value: Handle) -> Handle:
        if self._validate_args:
            self._validate_sample(value)
        value, logits = F.broadcast_tensors(value, self.logits)
        return logits.gather(-1, value.argmax(-1, keepdim=True)).squeeze(-1)

    def enumerate_support(self, expand: bool = True) -> Handle:
        count = self._num_events
        values = F.eye(count, dtype=self.probs.dtype).reshape((count,) + (1,) * len(self._batch_shape) + (count,))
        return values.expand((count, *self._batch_shape, count)) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot samples with the gradient of the probabilities (Bengio, Leonard, Courville 2013)."""

    has_rsample = True

    def rsample(self, sample_shape: Shape = ()) -> Handle:
        probs = self.probs
        return self.sample(sample_shape) + (probs - probs.detach())
