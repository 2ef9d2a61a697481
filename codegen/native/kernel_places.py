"""Where a kernel finds its values, told so that kernels that do the same look the same.

A kernel does not know which storages it works on, nor where in them its values begin: each storage becomes a local
one, numbered in the order of first use, that starts at the first element used and ends at the last. The steps of an
unrolled loop then share a kernel:

    %1 = in0 + 5, strides [24]    reads in0 + 5 as buf0: f32[745]
    %2 = in0 + 6, strides [24]    reads in0 + 6 as buf0: f32[745]
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.memory_plan import Placement, Space, Storage
from tracegraph.ir.signature import dims_key, value_key


@dataclass(frozen=True)
class Argument:
    """What a buffer parameter points to: `storage` from element `offset` on."""

    storage: Storage
    offset: Dim

    def __str__(self) -> str:
        return self.storage.name if dims.same(self.offset, 0) else f"{self.storage.name} + {self.offset}"


@dataclass(frozen=True)
class LocalPlaces:
    """Placements in local storages, in the order they were given, and what each local storage stands for."""

    placements: tuple[Placement, ...]
    arguments: dict[Storage, Argument]

    @property
    def key(self) -> Hashable:
        """Equal for placements that look the same to a kernel."""
        stored = [(s.dtype.name, value_key(s.size)) for s in self.arguments]
        placed = [(p.storage.number, value_key(p.offset), dims_key(p.strides)) for p in self.placements]
        return tuple(stored), tuple(placed)


def localise(places: Sequence[tuple[Placement, tuple[Dim, ...]]]) -> LocalPlaces:
    """The placements of values of the given shapes as a kernel sees them."""
    held: dict[Storage, list[tuple[Placement, tuple[Dim, ...]]]] = {}
    for place, shape in places:
        held.setdefault(place.storage, []).append((place, shape))
    local: dict[Storage, Storage] = {}
    arguments: dict[Storage, Argument] = {}
    for number, (storage, values) in enumerate(held.items()):
        start, size = _extent(storage, values)
        local[storage] = Storage(Space.ARENA, number, storage.dtype, size)
        arguments[local[storage]] = Argument(storage, start)
    placements = [
        Placement(local[p.storage], p.offset - arguments[local[p.storage]].offset, p.strides) for p, _ in places
    ]
    return LocalPlaces(tuple(placements), arguments)


def _extent(storage: Storage, values: Sequence[tuple[Placement, tuple[Dim, ...]]]) -> tuple[Dim, Dim]:
    """First element and number of elements of the part of a storage in which the values lie; all of it if unknown."""
    ranges = [_range(place, shape) for place, shape in values]
    known = [r for r in ranges if r is not None]
    if len(known) < len(ranges):
        return 0, storage.size
    start = min(first for first, _ in known)
    return start, max(last for _, last in known) - start


def _range(place: Placement, shape: tuple[Dim, ...]) -> tuple[int, int] | None:
    """The first element of a value and the one behind its last; None for symbolic sizes."""
    first, last = place.offset, place.offset
    for stride, size in zip(place.strides, shape, strict=True):
        if not isinstance(size, int) or not isinstance(stride, int):
            return None
        reach = (size - 1) * stride if size else 0
        first, last = first + min(reach, 0), last + max(reach, 0)
    return (first, last + 1) if isinstance(first, int) and isinstance(last, int) else None
