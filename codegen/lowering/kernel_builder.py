"""The recording handler for op rules: a `LoopRecorder` that knows where the values of a body live.

Ops' rules speak of values at multi-dimensional positions, written as sizes and loop variables (`ir.dim`). The
builder turns a position into an offset in a flat buffer and records a load or a store there. Every storage
of the memory plan is one buffer parameter, so values that share memory share a parameter, and writing in
place needs no special case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tracegraph.codegen.loops.dim_index import loop_index
from tracegraph.codegen.loops.loop_index import Index
from tracegraph.codegen.loops.loop_ir import Buffer, Fault, Kernel, Mark, Mode
from tracegraph.codegen.loops.loop_recorder import LoopRecorder
from tracegraph.codegen.loops.scalar_handler import Scalar, ScalarLike
from tracegraph.codegen.loops.scalar_ops import BOOL_FORMS
from tracegraph.dtypes import int64
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.evaluator import Position
from tracegraph.ir.graph import Value
from tracegraph.ir.index_math import Simplifier, flatten
from tracegraph.ir.memory_plan import Placement, Storage


@dataclass(frozen=True)
class Lowered:
    """A kernel and what its parameters stand for, in order: first the sizes, then the buffers."""

    kernel: Kernel
    storages: tuple[Storage, ...]
    sizes: tuple[str, ...]


class KernelBuilder(LoopRecorder):
    """Records the kernel of one body.

    Args:
        inputs: places of what the body reads.
        outputs: places of its results.
        symbols: size symbols the kernel may mention.
    """

    def __init__(
        self, name: str, inputs: Mapping[Value, Placement], outputs: Sequence[Placement], symbols: Iterable[str]
    ) -> None:
        super().__init__(name)
        self.inputs = inputs
        self.outputs = outputs
        #: the condition under which the current element is needed
        self.mask: Scalar | None = None
        self._data_indices = 0
        self.sizes = tuple(sorted(symbols))
        self._variables: dict[str, Index] = {name: self.size(name) for name in self.sizes}
        #: extents of loop variables and data-dependent indices
        self.ranges: dict[str, Dim] = {}
        self.simplify = Simplifier(self.ranges)
        self.buffers = self._declare_buffers()

    def _declare_buffers(self) -> dict[Storage, Buffer]:
        read = dict.fromkeys(p.storage for p in self.inputs.values())
        written = dict.fromkeys(p.storage for p in self.outputs)
        buffers: dict[Storage, Buffer] = {}
        for storage in dict.fromkeys([*read, *written]):
            mode = Mode.INOUT if storage in read and storage in written else Mode.IN if storage in read else Mode.OUT
            name = f"{mode.value}{sum(b.mode is mode for b in buffers.values())}"
            size = self.index_of(storage.size)
            buffers[storage] = self.buffer(name, storage.dtype, (size,), mode)
        return buffers

    def lowered(self) -> Lowered:
        """The finished kernel."""
        return Lowered(self.kernel(), tuple(self.buffers), self.sizes)

    # ------------------------------------------------------------------------------------ loops and indices

    @contextmanager
    def over(self, name: str, extent: Dim, marks: Iterable[Mark] = ()) -> Iterator[Index]:
        """A loop whose variable the rules know as the symbol `name`."""
        with self.loop(name, self.index_of(extent), marks=marks) as variable, self.bound(name, extent, variable):
            yield variable

    @contextmanager
    def bound(self, name: str, extent: Dim, position: Index) -> Iterator[None]:
        """Let the symbol `name`, which runs over [0, extent), be `position` inside the block."""
        outer = self._variables.get(name)
        self._variables[name] = position
        self.ranges[name] = extent
        try:
            yield
        finally:
            if outer is None:
                del self._variables[name]
            else:
                self._variables[name] = outer

    def index_of(self, dim: Dim) -> Index:
        """A position as an index expression of the loop IR."""
        return loop_index(self.simplify(dim), self._variables)

    def index_scalar(self, position: Dim) -> Scalar:
        """A position as an i64 scalar."""
        return self.index_value(self.index_of(position))

    def check(self, condition: Scalar, message: str, fault: Fault = Fault.VALUE) -> None:
        """As the recorder's; under a mask only elements that are read can fail."""
        super().check(condition if self.mask is None else condition | ~self.mask, message, fault)

    def as_index(self, x: Scalar, size: Dim, message: str) -> Dim:
        """An integer scalar as a position, checked against [0, size) where the element is needed."""
        x = self.cast(x, int64)
        fits = (x >= 0) & (x < self.index_scalar(size))
        self.check(fits, message, Fault.INDEX)
        name = f"d{self._data_indices}"
        self._data_indices += 1
        self._variables[name] = self.value_index(x)
        self.ranges[name] = size
        return dims.sym(name)

    # ------------------------------------------------------------------------------------ memory

    def read(self, value: Value, position: Position, mask: Scalar | None, fill: Any) -> Scalar:
        """An element of a value that lives in memory."""
        place = self.inputs[value]
        return self.load(self.buffers[place.storage], (self.offset(place, position),), mask, fill)

    def write(self, result: int, position: Position, x: ScalarLike, *, accumulate: bool = False) -> None:
        """Store an element of a result."""
        place = self.outputs[result]
        self.store(self.buffers[place.storage], (self.offset(place, position),), x, accumulate=accumulate)

    def reread(self, result: int, position: Position) -> Scalar:
        """An element of a result, as stored before."""
        place = self.outputs[result]
        return self.load(self.buffers[place.storage], (self.offset(place, position),))

    def offset(self, place: Placement, position: Position) -> Index:
        """The offset of an element in its storage."""
        return self.index_of(flatten(position, place.strides, place.offset))

    # ------------------------------------------------------------------------------------ scalars

    def apply(self, op: str, *operands: ScalarLike) -> Scalar:
        if op in BOOL_FORMS and any(isinstance(x, Scalar) and x.dtype.is_bool for x in operands):
            op = BOOL_FORMS[op]
        return super().apply(op, *operands)
