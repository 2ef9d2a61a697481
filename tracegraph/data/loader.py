"""DataLoader: batches of a dataset, in order or shuffled, prepared ahead by threads if asked."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

from tracegraph.data.collate import default_collate
from tracegraph.data.dataset import IterableDataset, TensorDataset
from tracegraph.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.generator import Generator


class DataLoader:
    """Iterates over a dataset in batches.

    Args:
        dataset: a `Dataset`, anything with `__getitem__` and `__len__`, or an `IterableDataset`.
        batch_size: examples per batch; None gives the examples one by one, uncollated.
        shuffle: visit the examples in a new random order in every pass.
        sampler: the order of positions, instead of `shuffle`.
        batch_sampler: lists of positions, instead of `batch_size`, `shuffle`, `sampler` and `drop_last`.
        num_workers: threads that prepare batches ahead of time; 0 prepares each when it is asked for.
        collate_fn: makes a batch of a list of examples; default: `default_collate`.
        drop_last: leave out a last batch that is not full.
        generator: where the random order comes from; default: the global generator.
        prefetch_factor: batches prepared ahead per thread; default 2.

    Raises:
        ValueRangeError: options that exclude one another, or are out of range.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        *,
        generator: Generator | None = None,
        prefetch_factor: int = 2,
    ) -> None:
        if num_workers < 0 or prefetch_factor < 1:
            raise ValueRangeError(
                f"DataLoader: num_workers={num_workers} must not be negative and "
                f"prefetch_factor={prefetch_factor} must be positive"
            )
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.generator = generator
        self.streams = isinstance(dataset, IterableDataset)
        _check_options(self.streams, batch_size, shuffle, sampler, batch_sampler, drop_last)
        if not self.streams and sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        self.sampler = sampler
        if batch_sampler is None and batch_size is not None and sampler is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_sampler = batch_sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        collates = batch_size is not None or batch_sampler is not None
        self.collate_fn = collate_fn or (default_collate if collates else _as_it_is)

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers == 0:
            return self._serial()
        return self._streamed_ahead() if self.streams else self._prepared_ahead()

    def __len__(self) -> int:
        """Batches in a pass.

        Raises:
            ArgumentError: the dataset is a stream.
        """
        if self.streams:
            raise ArgumentError("an IterableDataset has no length")
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]

    # ------------------------------------------------------------------------------------ one batch after another

    def _serial(self) -> Iterator[Any]:
        if self.streams:
            return self._streamed()
        return map(self._fetch, self._positions())

    def _positions(self) -> Iterator[Any]:
        source = self.sampler if self.batch_sampler is None else self.batch_sampler
        assert source is not None
        return iter(source)

    def _fetch(self, positions: Any) -> Any:
        if self.batch_sampler is None:
            return self.collate_fn(self.dataset[positions])
        if self.collate_fn is default_collate and type(self.dataset) is TensorDataset:
            return self.dataset.batch(positions)
        return self.collate_fn([self.dataset[i] for i in positions])

    def _streamed(self) -> Iterator[Any]:
        stream = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, stream)
            return
        while batch := list(islice(stream, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield self.collate_fn(batch)

    # ------------------------------------------------------------------------------------ ahead of time

    def _prepared_ahead(self) -> Iterator[Any]:
        """Batches made by threads, in order; an error of a thread is raised where its batch is asked for."""
        ahead = self.num_workers * self.prefetch_factor
        with ThreadPoolExecutor(self.num_workers, thread_name_prefix="tracegraph-data") as threads:
            pending: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
            positions = self._positions()
            try:
                for p in islice(positions, ahead):
                    pending.put(threads.submit(self._fetch, p))
                while not pending.empty():
                    batch = pending.get().result()
                    for p in islice(positions, 1):
                        pending.put(threads.submit(self._fetch, p))
                    yield batch
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def _streamed_ahead(self) -> Iterator[Any]:
        """Batches of a stream, read by one thread: a stream cannot be shared without changing its order."""
        ready: queue.Queue[tuple[bool, Any]] = queue.Queue(self.num_workers * self.prefetch_factor)
        stopped = threading.Event()

        def offer(item: tuple[bool, Any]) -> None:
            while not stopped.is_set():
                try:
                    ready.put(item, timeout=0.1)
                except queue.Full:
                    continue
                return

        def read() -> None:
            try:
                for batch in self._streamed():
                    offer((True, batch))
                    if stopped.is_set():
                        return
                offer((False, None))
            except BaseException as e:  # handed over to the reader of the batches
                offer((False, e))

        threading.Thread(target=read, name="tracegraph-data", daemon=True).start()
        try:
            while True:
                more, item = ready.get()
                if not more:
                    if item is not None:
                        raise item
                    return
                yield item
        finally:
            stopped.set()


def _as_it_is(example: Any) -> Any:
    return example


def _check_options(
    streams: bool,
    batch_size: int | None,
    shuffle: bool,
    sampler: Iterable[int] | None,
    batch_sampler: Iterable[Sequence[int]] | None,
    drop_last: bool,
) -> None:
    if streams and (shuffle or sampler is not None or batch_sampler is not None):
        raise ValueRangeError(
            "DataLoader: an IterableDataset sets the order itself; it takes no shuffle and no sampler"
        )
    if sampler is not None and shuffle:
        raise ValueRangeError("DataLoader: sampler and shuffle exclude one another")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueRangeError("DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last")
    if batch_size is None and drop_last:
        raise ValueRangeError("DataLoader: drop_last needs a batch_size")
    if batch_size is not None and (isinstance(batch_size, bool) or batch_size < 1):
        raise ValueRangeError(f"DataLoader: batch_size={batch_size!r} must be a positive int or None")
