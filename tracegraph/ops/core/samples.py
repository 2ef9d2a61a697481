"""Sample inputs of ops: descriptions from which tests draw concrete arrays.

A definition's `samples` is a `Sampler`, a function that yields `Sample`s. An operand is an `A` (array description)
or a number; lists of `A` stand for tensor lists. The generated tests draw arrays from a seeded generator, and vary
dtype, memory layout and values beyond what the sample says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType


@dataclass(frozen=True)
class A:
    """An array to draw: uniform in [low, high]; integers in [low, high]; `dtype` None means the tested dtype.

    `distinct` draws values that all differ (for sorting and extrema, whose gradients need it).
    """

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    dtype: DType | None = None
    distinct: bool = False

    def draw(self, rng: np.random.Generator, dtype: DType) -> np.ndarray:
        """A concrete C-contiguous array."""
        wanted = self.dtype or dtype
        if wanted.is_bool:
            return rng.integers(0, 2, self.shape).astype(np.bool_)
        if wanted.is_integer:
            low = max(int(np.ceil(self.low)), int(np.iinfo(wanted.np).min))
            return rng.integers(low, int(self.high) + 1, self.shape).astype(wanted.np)
        if self.distinct:
            count = int(np.prod(self.shape))
            values = np.linspace(self.low, self.high, count) if count else np.zeros(0)
            return rng.permutation(values).reshape(self.shape).astype(wanted.np)
        return rng.uniform(self.low, self.high, self.shape).astype(wanted.np)


@dataclass(frozen=True)
class Sample:
    """One call of an op, its arrays not drawn yet.

    `dtypes` are those the sample is valid for; `differentiable` says whether gradients may be compared with finite
    differences here (not at kinks).
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    dtypes: tuple[DType, ...] = dtypes.FLOATING_DTYPES
    differentiable: bool = True


class Sampler:
    """Calling it yields the samples of one op."""

    def __init__(self, listed: Sequence[Sample]) -> None:
        self._listed = tuple(listed)

    def __call__(self) -> Iterator[Sample]:
        return iter(self._listed)


REAL = tuple(d for d in dtypes.ALL if not d.is_bool)


def call(
    *args: Any, dtypes: Sequence[DType] = dtypes.FLOATING_DTYPES, differentiable: bool = True, **kwargs: Any
) -> Sample:
    """A sample of `op(*args, **kwargs)`."""
    return Sample(args, kwargs, tuple(dtypes), differentiable)


def samples(*listed: Sample) -> Sampler:
    """The sampler that yields exactly these."""
    return Sampler(listed)


def unary(
    low: float = -2.0,
    high: float = 2.0,
    dtypes: Sequence[DType] = dtypes.FLOATING_DTYPES,
    differentiable: bool = True,
) -> Sampler:
    """Shapes 2-d, 1-d long enough for vector code and its tail, 0-d and empty, values in [low, high]."""
    shapes: tuple[tuple[int, ...], ...] = ((3, 5), (67,), (), (0, 4))
    return samples(*(call(A(s, low, high), dtypes=dtypes, differentiable=differentiable) for s in shapes))


def binary(
    low: float = -2.0,
    high: float = 2.0,
    low2: float | None = None,
    high2: float | None = None,
    dtypes: Sequence[DType] = dtypes.FLOATING_DTYPES,
    differentiable: bool = True,
    number: float | int | None = 1.5,
) -> Sampler:
    """Equal shapes, broadcasting both ways, 0-d, empty, and a Python number on the right."""
    lo2, hi2 = low if low2 is None else low2, high if high2 is None else high2
    shapes: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
        ((3, 5), (3, 5)),
        ((67,), (67,)),
        ((4, 1, 3), (2, 1)),
        ((), (3,)),
        ((0, 4), (4,)),
    )
    listed = [call(A(a, low, high), A(b, lo2, hi2), dtypes=dtypes, differentiable=differentiable) for a, b in shapes]
    if number is not None:
        listed.append(call(A((3, 5), low, high), number, dtypes=dtypes, differentiable=differentiable))
    return samples(*listed)


def draw(sample: Sample, rng: np.random.Generator, dtype: DType) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Concrete (args, kwargs): numpy arrays where the sample has `A`."""

    def one(arg: Any) -> Any:
        if isinstance(arg, A):
            return arg.draw(rng, dtype)
        if isinstance(arg, list):
            return [one(a) for a in arg]
        return arg

    return tuple(map(one, sample.args)), {k: one(v) for k, v in sample.kwargs.items()}
