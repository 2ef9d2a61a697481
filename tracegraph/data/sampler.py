"""Samplers: in which order, and in which batches, the items of a dataset are visited."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import Any

from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import described
from tracegraph.tensor import Tensor, tensor


class Sampler:
    """An iterable of item numbers."""

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{type(self).__name__} must define __iter__()")


class SequentialSampler(Sampler):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """A random order from the global generator (or `generator`); with `replacement`, independent draws."""

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self.num_samples = len(data_source) if num_samples is None else num_samples
        if not replacement and self.num_samples > len(data_source):
            raise ValueRangeError(
                f"RandomSampler: {self.num_samples} samples of {len(data_source)} items need replacement=True"
            )

    def __iter__(self) -> Iterator[int]:
        size = len(self.data_source)
        if self.replacement:
            return iter(F.randint(0, size, (self.num_samples,), generator=self.generator).tolist())
        return iter(F.randperm(size, generator=self.generator).tolist()[: self.num_samples])

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given numbers in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        return (self.indices[i] for i in F.randperm(len(self.indices), generator=self.generator).tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Draws numbers with probabilities proportional to `weights`."""

    def __init__(
        self, weights: Sequence[float] | Tensor, num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        self.weights = weights if isinstance(weights, Tensor) else tensor(list(weights))
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        drawn = F.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` numbers from another sampler; the last may be shorter unless `drop_last`."""

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int):
            raise ArgumentError(f"batch_size must be an int, got {described(batch_size)}")
        if batch_size < 1:
            raise ValueRangeError(f"batch_size={batch_size} must be at least 1")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        size = len(self.sampler)
        return size // self.batch_size if self.drop_last else -(-size // self.batch_size)
