"""Which tensors lie in one memory, and where."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tracegraph import dtypes
from tracegraph.ops.core.layout import overlaps_itself
from tracegraph.ops.core.shared_memory import Member, SharedMemory
from tracegraph.tensor.tensor import Tensor

#: a tensor, or the array of one
Elements = Tensor | np.ndarray


def shared_memories(tensors: Sequence[Elements], written: Collection[int]) -> tuple[SharedMemory, ...]:
    """The memories in which several of `tensors` lie, as far as one of those is written to.

    Tensors lie in one memory where the ranges of their addresses overlap, be it by way of others. What has no elements
    lies nowhere.

    Args:
        written: the positions of tensors that are written to.
    """
    return tuple(_memory(tensors, group, written) for group in _groups(tensors) if not set(written).isdisjoint(group))


def _groups(tensors: Sequence[Elements]) -> Iterator[list[int]]:
    """The positions of tensors that overlap, several at a time, by address."""
    ranges = sorted((*byte_bounds(a), i) for i, a in enumerate(map(array_of, tensors)) if a.size)
    group: list[int] = []
    end = 0
    for start, stop, position in ranges:
        if start >= end:
            if len(group) > 1:
                yield group
            group = []
        group.append(position)
        end = max(end, stop)
    if len(group) > 1:
        yield group


def _memory(tensors: Sequence[Elements], group: Sequence[int], written: Collection[int]) -> SharedMemory:
    arrays = [array_of(tensors[i]) for i in group]
    bounds = [byte_bounds(a) for a in arrays]
    begin, end = min(b for b, _ in bounds), max(e for _, e in bounds)
    size = arrays[0].itemsize
    counters: dict[int, int] = {}
    members = []
    for position, array in zip(group, arrays, strict=True):
        tensor = tensors[position]
        storage = tensor._storage if isinstance(tensor, Tensor) else None
        counter = position if storage is None else counters.setdefault(id(storage), position)
        stride = tuple(s // size if n > 1 else 0 for s, n in zip(array.strides, array.shape, strict=True))
        requires_grad = isinstance(tensor, Tensor) and tensor.requires_grad
        members.append(Member(position, (array.ctypes.data - begin) // size, stride, counter, requires_grad))
    return SharedMemory(
        dtypes.from_numpy(arrays[0].dtype),
        (end - begin) // size,
        tuple(members),
        _refusal(arrays, begin, [i in written for i in group]),
    )


def _refusal(arrays: Sequence[np.ndarray], begin: int, is_written: Sequence[bool]) -> str:
    size = arrays[0].itemsize
    if any(a.dtype != arrays[0].dtype for a in arrays):
        return "tensors of several dtypes in one memory"
    if any(s < 0 or s % size for a in arrays for s, n in zip(a.strides, a.shape, strict=True) if n > 1):
        return "negative strides"
    if any((a.ctypes.data - begin) % size for a in arrays):
        return "elements that overlap in part"
    if any(w and overlaps_itself(a.shape, a.strides) for a, w in zip(arrays, is_written, strict=True)):
        return "a write to a tensor that overlaps itself"
    return ""


def row_of(memory: SharedMemory, tensors: Sequence[Elements]) -> np.ndarray:
    """The memory as one row of elements."""
    first = next(m for m in memory.members if m.offset == 0)
    array = array_of(tensors[first.position])
    return np.lib.stride_tricks.as_strided(array, (memory.extent,), (array.itemsize,))


def seen_by(member: Member, row: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The elements of a member of this shape in a row of the memory's elements."""
    strides = tuple(s * row.itemsize for s in member.stride)
    return np.lib.stride_tricks.as_strided(row[member.offset :], shape, strides)


def array_of(tensor: Elements) -> np.ndarray:
    """The array of a tensor."""
    return tensor._np if isinstance(tensor, Tensor) else tensor
