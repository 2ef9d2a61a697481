"""Where every value of a graph lives while it runs: the product of the planner, read by the code generator.

    plan mlp
      in0       f32[64]                input %x
      buf0      f32[4096]   steps 0-2  %0, %1          (%1 is written in place of %0)
      out0      f32[10]     steps 2-3  %2
      %3 = buf0 + 16, strides [1]                      (a view costs nothing)

A storage is one dense piece of memory: an input, a constant, an output, or a stretch of the arena. A placement says
which elements of a storage a value is: an offset and strides in elements, so transposes and slices are placements.
The arena's offsets follow from the sizes of one call; `MemoryPlan.layout` computes and remembers them per binding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tracegraph.dtypes import DType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.graph import Graph, Node, Value
from tracegraph.ir.index_math import row_major

#: arena offsets are multiples of this many bytes: a cache line, and the widest vector
ALIGNMENT = 64
#: layouts remembered per plan; sizes beyond this many bindings are laid out again
REMEMBERED_LAYOUTS = 64


class Space(Enum):
    """Who owns a storage."""

    INPUT = "in"
    CONSTANT = "const"
    OUTPUT = "out"
    ARENA = "buf"


@dataclass(frozen=True)
class Storage:
    """A dense piece of memory, live from step `first` to step `last`; equal only to itself by space and number."""

    space: Space
    number: int
    dtype: DType = field(compare=False)
    size: Dim = field(compare=False)
    first: int = field(compare=False, default=0)
    last: int = field(compare=False, default=0)

    @property
    def name(self) -> str:
        return f"{self.space.value}{self.number}"

    @property
    def nbytes(self) -> Dim:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class Placement:
    """The elements of `storage` at `offset + index * strides`."""

    storage: Storage
    offset: Dim
    strides: tuple[Dim, ...]

    def is_whole(self, shape: Sequence[Dim]) -> bool:
        """Whether this is the storage itself, read in row-major order as an array of `shape`."""
        return (
            dims.same(self.offset, 0)
            and dims.same(dims.product(tuple(shape)), self.storage.size)
            and is_dense(self.strides, shape)
        )


def is_dense(strides: Sequence[Dim], shape: Sequence[Dim]) -> bool:
    """Whether strides are those of a row-major array; the stride of an axis of size 1 does not matter."""
    wanted = row_major(shape)
    return all(
        dims.same(a, b) or (isinstance(d, int) and d == 1) for a, b, d in zip(strides, wanted, shape, strict=True)
    )


def whole(storage: Storage, shape: Sequence[Dim]) -> Placement:
    """A row-major array of `shape` that fills `storage`."""
    return Placement(storage, 0, row_major(shape))


@dataclass(frozen=True)
class Layout:
    """Byte offsets of the arena's storages for one binding of the sizes."""

    offsets: tuple[int, ...]
    total: int


@dataclass(frozen=True)
class MemoryPlan:
    """Places for all values of `graph`.

    Attributes:
        storages: everything there is, inputs first.
        placements: the place of every value.
        outputs: for each output of the graph, the storage that holds it at the end; None where it is no tensor.
        views: results of views that are placements within their operand, and so no step.
        copies: values to copy into an output storage at the end, because they are inputs, constants, views, or are
            returned twice.
        bodies: the plans of the graphs that nodes hold. A plan's graph may take further inputs than the graph itself,
            which show it the sizes named in `shown_sizes` (see `subgraphs.with_sizes_shown`).
    """

    graph: Graph
    storages: tuple[Storage, ...]
    placements: Mapping[Value, Placement]
    outputs: tuple[Storage | None, ...]
    views: frozenset[Value]
    copies: tuple[tuple[Value, Storage], ...]
    bodies: Mapping[Graph, MemoryPlan] = field(default_factory=dict, repr=False)
    shown_sizes: tuple[str, ...] = ()
    _layouts: dict[tuple[tuple[str, int], ...], Layout] = field(default_factory=dict, compare=False, repr=False)

    @property
    def arena(self) -> tuple[Storage, ...]:
        """The storages of the arena, by number."""
        return tuple(s for s in self.storages if s.space is Space.ARENA)

    def is_view(self, node: Node) -> bool:
        """Whether a call costs nothing, because its result is a placement within its operand."""
        return all(value in self.views for value in node.values)

    def layout(self, sizes: Mapping[str, int]) -> Layout:
        """The arena for these sizes; no two storages live at the same step overlap."""
        key = tuple(sorted(sizes.items()))
        found = self._layouts.get(key)
        if found is None:
            if len(self._layouts) >= REMEMBERED_LAYOUTS:
                self._layouts.clear()
            found = self._layouts[key] = lay_out(self.arena, sizes)
        return found

    def __str__(self) -> str:
        from tracegraph.ir.printer import value_names

        names = value_names(self.graph)
        held: dict[Storage, list[str]] = {}
        views: list[str] = []
        for value, placement in self.placements.items():
            if placement.is_whole(value.type.shape):
                held.setdefault(placement.storage, []).append(names[value])
            else:
                strides = ", ".join(map(str, placement.strides))
                views.append(f"  {names[value]} = {placement.storage.name} + {placement.offset}, strides [{strides}]")
        lines = [f"plan {self.graph.name}"]
        for s in self.storages:
            steps = f"steps {s.first}-{s.last}" if s.space is Space.ARENA else ""
            text = f"  {s.name:8} {f'{s.dtype.name}[{s.size}]':16} {steps:14} {', '.join(held.get(s, ()))}"
            lines.append(text.rstrip())
        lines += views
        lines += [f"  copy {names[value]} to {storage.name}" for value, storage in self.copies]
        return "\n".join([*lines, *map(str, self.bodies.values())])


def lay_out(storages: Sequence[Storage], sizes: Mapping[str, int]) -> Layout:
    """Offsets for storages with live ranges: the largest first, each in the lowest gap that is free while it lives."""
    sized = [int(dims.evaluate(s.nbytes, sizes)) for s in storages]
    offsets = [0] * len(storages)
    placed: list[int] = []
    for i in sorted(range(len(storages)), key=lambda i: (-sized[i], i)):
        busy = sorted(
            (offsets[j], offsets[j] + sized[j])
            for j in placed
            if storages[j].first <= storages[i].last and storages[i].first <= storages[j].last
        )
        at = 0
        for start, end in busy:
            if at + sized[i] <= start:
                break
            at = max(at, -(-end // ALIGNMENT) * ALIGNMENT)
        offsets[i] = at
        placed.append(i)
    total = max((offsets[i] + sized[i] for i in range(len(storages))), default=0)
    return Layout(tuple(offsets), total)
