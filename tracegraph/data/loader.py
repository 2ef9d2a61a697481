"""The loader: batches of a dataset, in order or shuffled, prepared ahead by threads if asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

from tracegraph.data.collate import default_collate
from tracegraph.data.dataset import IterableDataset, TensorDataset
from tracegraph.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from tracegraph.errors import ValueRangeError


class DataLoader:
    """Iterates over batches of `dataset`.

    Args:
        batch_size: items per batch; None gives single items, uncollated.
        shuffle: visit the items in a new random order each time, drawn from the global generator or `generator`.
        sampler: order of the items, in place of `shuffle`.
        batch_sampler: lists of item numbers, in place of all of batch_size, shuffle, sampler and drop_last.
        num_workers: threads that prepare batches ahead; 0 prepares each when it is asked for.
        collate_fn: makes a batch of a list of items.
        pin_memory, persistent_workers: accepted, without effect: there is no other device, and threads start at once.
        drop_last: leave out a last batch that is not full.
        prefetch_factor: batches prepared ahead per thread; 2 if None.

    Raises:
        ValueRangeError: options that contradict one another.
    """

    def __init__(  # noqa: PLR0913 - PyTorch's arguments
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[Sequence[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        *,
        generator: Any = None,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        _check_options(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last, num_workers)
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.num_workers, self.prefetch_factor = num_workers, 2 if prefetch_factor is None else prefetch_factor
        self.pin_memory, self.persistent_workers = pin_memory, persistent_workers
        self.collate_fn = default_collate if collate_fn is None else collate_fn
        self.is_stream = isinstance(dataset, IterableDataset)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        if not self.is_stream and batch_sampler is None:
            if sampler is None:
                self.sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
            if batch_size is not None:
                self.batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)

    def __iter__(self) -> Iterator[Any]:
        if self.is_stream:
            return self._stream()
        if self.num_workers:
            return self._prefetched()
        return map(self._fetch, self._requests())

    def __len__(self) -> int:
        if self.is_stream:
            raise TypeError("a DataLoader over an IterableDataset has no length")
        return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)

    def _requests(self) -> Iterator[Any]:
        """Numbers of the items of each batch, or of each item."""
        return iter(self.batch_sampler if self.batch_sampler is not None else self.sampler)

    def _fetch(self, request: Any) -> Any:
        if self.batch_sampler is None:
            return self.dataset[request]
        if type(self.dataset) is TensorDataset and self.collate_fn is default_collate:
            return list(self.dataset.batch(request))
        return self.collate_fn([self.dataset[i] for i in request])

    def _stream(self) -> Iterator[Any]:
        items = iter(self.dataset)
        if self.batch_size is None:
            yield from items
            return
        while batch := list(islice(items, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield self.collate_fn(batch)

    def _prefetched(self) -> Iterator[Any]:
        """Batches in order, up to `num_workers * prefetch_factor` of them prepared ahead."""
        requests = self._requests()
        with ThreadPoolExecutor(self.num_workers, thread_name_prefix="tracegraph-loader") as pool:
            ahead: deque[Future[Any]] = deque(
                pool.submit(self._fetch, r) for r in islice(requests, self.num_workers * self.prefetch_factor)
            )
            try:
                while ahead:
                    batch = ahead.popleft().result()
                    ahead.extend(pool.submit(self._fetch, r) for r in islice(requests, 1))
                    yield batch
            finally:
                for future in ahead:
                    future.cancel()


def _check_options(
    dataset: Any,
    batch_size: int | None,
    shuffle: bool,
    sampler: Any,
    batch_sampler: Any,
    drop_last: bool,
    num_workers: int,
) -> None:
    if isinstance(dataset, IterableDataset) and (shuffle or sampler is not None or batch_sampler is not None):
        raise ValueRangeError("DataLoader: an IterableDataset has its own order; shuffle and samplers do not apply")
    if sampler is not None and shuffle:
        raise ValueRangeError("DataLoader: sampler and shuffle exclude each other")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueRangeError("DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last")
    if batch_size is None and drop_last:
        raise ValueRangeError("DataLoader: drop_last needs a batch_size")
    if num_workers < 0:
        raise ValueRangeError(f"DataLoader: num_workers={num_workers} must not be negative")
