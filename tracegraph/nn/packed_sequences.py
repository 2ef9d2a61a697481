"""Sequences of different lengths without padding: the steps of all, time by time (`nn.utils.rnn`).

The sequences are ordered by length, the longest first, so that those that still run at a time are the first ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tracegraph import dtypes
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.nn.sequences import pad_sequence
from tracegraph.ops import functional as ops
from tracegraph.tensor.factory import tensor
from tracegraph.tensor.questions import is_tensor


class PackedSequence(NamedTuple):
    """Sequences packed by `pack_padded_sequence` or `pack_sequence`.

    Attributes:
        data: the steps of all sequences, time by time: [sum of lengths, ...].
        batch_sizes: how many sequences run at each time, int64.
        sorted_indices: the order of the sequences, int64; None if they were in order.
        unsorted_indices: the place of each sequence in that order.
    """

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequences with data as `Tensor.to` gives it."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def double(self) -> PackedSequence:
        return self.to(dtypes.float64)

    def float(self) -> PackedSequence:
        return self.to(dtypes.float32)

    @property
    def is_cuda(self) -> bool:
        return False


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences [longest, batch, ...], or [batch, longest, ...] if `batch_first`.

    Args:
        lengths: of the sequences, a tensor or a list.
        enforce_sorted: the lengths must fall; else the sequences are put in order.

    Raises:
        ValueRangeError: a length is not positive or beyond the padded one, or they do not fall although they must.
        ShapeError: there are not as many lengths as sequences.
    """
    counts = [int(n) for n in (lengths.tolist() if is_tensor(lengths) else lengths)]
    time, batch = (1, 0) if batch_first else (0, 1)
    if len(counts) != input.shape[batch]:
        raise ShapeError(f"pack_padded_sequence: {len(counts)} lengths for {input.shape[batch]} sequences")
    if not counts or min(counts) < 1 or max(counts) > input.shape[time]:
        raise ValueRangeError(
            f"pack_padded_sequence: lengths {counts} must be positive, and at most {input.shape[time]}"
        )
    order = sorted(range(len(counts)), key=lambda i: -counts[i])
    sorted_indices = unsorted_indices = None
    if enforce_sorted:
        if counts != sorted(counts, reverse=True):
            raise ValueRangeError(f"pack_padded_sequence: lengths {counts} must fall; or pass enforce_sorted=False")
    else:
        sorted_indices = tensor(order, dtypes.int64)
        unsorted_indices = _inverse(order)
        input = input.index_select(batch, sorted_indices)
        counts = [counts[i] for i in order]
    steps = input.transpose(0, 1) if batch_first else input
    sizes = [sum(n > t for n in counts) for t in range(counts[0])]
    data = ops.cat([steps[t, :size] for t, size in enumerate(sizes)])
    return PackedSequence(data, tensor(sizes, dtypes.int64), sorted_indices, unsorted_indices)


def _inverse(order: Sequence[int]) -> Any:
    places = [0] * len(order)
    for place, i in enumerate(order):
        places[i] = place
    return tensor(places, dtypes.int64)


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences [length, ...]. Arguments and errors as for `pack_padded_sequence`."""
    lengths = [s.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """The sequences side by side, padded, and their lengths.

    Args:
        total_length: pad to this length, by default to that of the longest.

    Raises:
        ValueRangeError: the longest sequence is longer than `total_length`.
    """
    sizes = sequence.batch_sizes.tolist()
    wanted = len(sizes) if total_length is None else total_length
    if wanted < len(sizes):
        raise ValueRangeError(f"pad_packed_sequence: total_length={wanted} is less than the longest, {len(sizes)}")
    steps = []
    for step in sequence.data.split(sizes):
        widths = (0, 0) * (step.ndim - 1) + (0, sizes[0] - step.shape[0])
        steps.append(ops.pad(step, widths, value=padding_value))
    blank = ops.full_like(steps[0], padding_value)
    padded = ops.stack(steps + [blank] * (wanted - len(sizes)), 0)
    lengths = tensor([sum(size > i for size in sizes) for i in range(sizes[0])], dtypes.int64)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = lengths.index_select(0, sequence.unsorted_indices)
    return padded.transpose(0, 1) if batch_first else padded, lengths


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences [length, ...] that were packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return [line[:n] for line, n in zip(padded.unbind(0), lengths.tolist(), strict=True)]
