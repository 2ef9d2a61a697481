"""Datasets: what a loader draws examples from."""

from __future__ import annotations

import bisect
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from tracegraph.data.randomness import permutation
from tracegraph.errors import ArgumentError, IndexRangeError, ShapeError, ValueRangeError
from tracegraph.ops.generator import Generator
from tracegraph.tensor import Tensor, from_numpy

T_co = TypeVar("T_co", covariant=True)


class Dataset(ABC, Generic[T_co]):
    """Examples by position: derive, write `__getitem__` and `__len__`."""

    @abstractmethod
    def __getitem__(self, index: Any) -> T_co:
        """The example at a position."""

    @abstractmethod
    def __len__(self) -> int:
        """How many examples there are."""

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(ABC, Generic[T_co]):
    """Examples in a stream: derive, write `__iter__`."""

    @abstractmethod
    def __iter__(self) -> Iterator[T_co]:
        """The examples, from the beginning."""


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Tuples of the rows of tensors with one first dimension.

    Raises:
        ShapeError: the first dimensions differ, or a tensor has none.
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors or any(not isinstance(t, Tensor) for t in tensors):
            raise ArgumentError("TensorDataset takes one or more Tensors")
        if any(t.ndim == 0 or t.shape[0] != tensors[0].shape[0] for t in tensors):
            shapes = ", ".join(str(list(t.shape)) for t in tensors)
            raise ShapeError(f"TensorDataset: the tensors, of shapes {shapes}, must have one first dimension")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def batch(self, positions: Sequence[int]) -> list[Tensor]:
        """What `default_collate` makes of the examples at `positions`, by one gather per tensor."""
        return [from_numpy(t.detach().numpy()[positions]) for t in self.tensors]


class Subset(Dataset[T_co]):
    """The examples of a dataset at given positions."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: int) -> T_co:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[Any]):
    """The examples of several datasets, one after another."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueRangeError("ConcatDataset takes one or more datasets")
        self.cumulative_sizes = list(itertools.accumulate(map(len, self.datasets)))

    def __getitem__(self, index: int) -> Any:
        count = len(self)
        if not -count <= index < count:
            raise IndexRangeError(f"index {index} is out of range for {count} examples")
        position = index % count
        number = bisect.bisect_right(self.cumulative_sizes, position)
        return self.datasets[number][position - (self.cumulative_sizes[number - 1] if number else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


def random_split(
    dataset: Dataset[T_co], lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset[T_co]]:
    """Split a dataset at random into subsets that share no example.

    Args:
        dataset: the dataset.
        lengths: numbers of examples that add up to its length, or fractions that add up to 1.
        generator: where the random order comes from; default: the global generator.

    Raises:
        ValueRangeError: the lengths do not add up.
    """
    counts = _counts(len(dataset), lengths)
    order = permutation(len(dataset), generator)
    ends = list(itertools.accumulate(counts))
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def _counts(total: int, lengths: Sequence[int | float]) -> list[int]:
    if any(isinstance(n, float) for n in lengths):
        if any(not 0 <= n <= 1 for n in lengths) or not math.isclose(sum(lengths), 1):
            raise ValueRangeError(f"random_split: the fractions {list(lengths)} must be in [0, 1] and add up to 1")
        counts = [math.floor(total * n) for n in lengths]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
        return counts
    counts = [int(n) for n in lengths]
    if any(n < 0 for n in counts) or sum(counts) != total:
        raise ValueRangeError(f"random_split: the lengths {counts} must add up to {total}, the number of examples")
    return counts
