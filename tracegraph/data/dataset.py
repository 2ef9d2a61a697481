"""Datasets: items by number, or a stream of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from tracegraph.errors import ArgumentError, IndexRangeError, ShapeError, ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import described
from tracegraph.tensor import Tensor


class Dataset:
    """Items by number: derive and write `__getitem__` and `__len__`."""

    def __getitem__(self, index: int) -> Any:
        raise TypeError(f"{type(self).__name__} must define __getitem__(index)")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset:
    """A stream of items: derive and write `__iter__`."""

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{type(self).__name__} must define __iter__()")


class TensorDataset(Dataset):
    """Tuples of the rows of tensors with equal first sizes.

    Raises:
        ArgumentError: an argument is no tensor, or one without rows.
        ShapeError: the first sizes differ.
    """

    def __init__(self, *tensors: Tensor) -> None:
        for position, t in enumerate(tensors):
            if not isinstance(t, Tensor) or not t.ndim:
                raise ArgumentError(
                    f"TensorDataset: argument {position} must be a Tensor of at least one dimension, got {described(t)}"
                )
        sizes = [t.shape[0] for t in tensors]
        if len(set(sizes)) > 1:
            raise ShapeError(f"TensorDataset: the tensors have first sizes {sizes}; they must be equal")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """The collated batch of these rows, by one gather per tensor instead of one view per row."""
        return tuple(t[list(indices)] for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0] if self.tensors else 0


class Subset(Dataset):
    """The items of `dataset` at `indices`."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    """The items of several datasets, one after the other."""

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = list(datasets)
        self.cumulative_sizes = list(accumulate(len(d) for d in self.datasets))

    def __getitem__(self, index: int) -> Any:
        size = len(self)
        if not -size <= index < size:
            raise IndexRangeError(f"index {index} is out of range for a dataset of {size} items")
        index %= size
        number = bisect_right(self.cumulative_sizes, index)
        return self.datasets[number][index - (self.cumulative_sizes[number - 1] if number else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1] if self.cumulative_sizes else 0


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Any = None) -> list[Subset]:
    """Split at random into subsets of these lengths, or of these fractions of the whole.

    Raises:
        ValueRangeError: the lengths do not add up to the size of the dataset, or the fractions not to 1.
    """
    sizes = _sizes(len(dataset), lengths)
    order = F.randperm(len(dataset), generator=generator).tolist()
    ends = list(accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def _sizes(total: int, lengths: Sequence[int | float]) -> list[int]:
    if all(isinstance(n, float) for n in lengths):
        if abs(sum(lengths) - 1) > 1e-6:
            raise ValueRangeError(f"random_split: the fractions {list(lengths)} add up to {sum(lengths)}, not to 1")
        sizes = [int(total * f) for f in lengths]
        for i in range(total - sum(sizes)):  # what rounding down left over
            sizes[i % len(sizes)] += 1
        return sizes
    if sum(lengths) != total:
        raise ValueRangeError(
            f"random_split: the lengths {list(lengths)} add up to {sum(lengths)}, the dataset has {total} items"
        )
    return [int(n) for n in lengths]
