"""Which sizes and ints of the arguments become symbols: static at first, dynamic once they have been seen to vary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tracegraph.capture import eager
from tracegraph.capture.guards import GuardKind, TensorFacts
from tracegraph.capture.size_marks import SizeMark, marks_of
from tracegraph.capture.sources import Size, Source
from tracegraph.capture.user_terms import source_text
from tracegraph.errors import ConstraintViolationError
from tracegraph.ir import SymExpr

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer

#: sizes 0 and 1 behave differently under broadcasting, so they always get graphs of their own
SMALLEST_DYNAMIC = 2


@dataclass
class Dynamism:
    """The policy of one code object, kept between its traces.

    Args:
        dynamic: True makes every size symbolic, False none, None those seen to vary.
    """

    dynamic: bool | None = None
    _varying: set[str] = field(default_factory=set)

    def note_sizes(self, source: Source, expected: TensorFacts, tensor: Any) -> None:
        """Learn from a failed guard which sizes of `source` vary."""
        if self.dynamic is not False and len(expected.shape) == len(tensor.shape):
            for i, (old, new) in enumerate(zip(expected.shape, tensor.shape, strict=True)):
                if old is not None and old != new:
                    self._varying.add(str(Size(source, i)))

    def note_integer(self, source: Source) -> None:
        """Learn from a failed guard that the int at `source` varies."""
        if self.dynamic is not False:
            self._varying.add(str(source))

    def tensor(self, tracer: Tracer, tensor: Any, source: Source) -> tuple[tuple[int | SymExpr, ...], TensorFacts]:
        """The symbolic shape of an input, and the facts to guard."""
        layout, marks = eager.layout_of(tensor), marks_of(tensor)
        shape: tuple[int | SymExpr, ...] = tuple(tensor.shape)
        if layout == "contiguous":
            # other strides are multiples of sizes: such a tensor is guarded as it is
            shape = tuple(self._size(tracer, n, Size(source, i), marks.get(i)) for i, n in enumerate(tensor.shape))
        elif any(m.is_dynamic for m in marks.values()):
            raise ConstraintViolationError(
                f"mark_dynamic: {source_text(source)} has strides {layout}; only contiguous tensors have symbolic "
                "sizes, make it one with .contiguous() before marking"
            )
        pattern = tuple(None if isinstance(d, SymExpr) else d for d in shape)
        facts = TensorFacts(type(tensor), tensor.dtype, pattern, layout, bool(tensor.requires_grad))
        return shape, facts

    def _size(self, tracer: Tracer, size: int, source: Size, mark: SizeMark | None) -> int | SymExpr:
        if mark is not None and mark.is_dynamic:
            return self._marked(tracer, size, source, mark)
        wanted = mark is None and (self.dynamic or str(source) in self._varying)
        if not wanted or size < SMALLEST_DYNAMIC:
            return size
        return tracer.sizes.symbol(size, source)

    def _marked(self, tracer: Tracer, size: int, source: Size, mark: SizeMark) -> int | SymExpr:
        low, high = max(mark.min or 0, SMALLEST_DYNAMIC), mark.max
        if size < (mark.min or 0) or (high is not None and size > high):
            raise ConstraintViolationError(
                f"mark_dynamic: {source_text(source)} is {size}, outside the range [{mark.min or 0}, "
                f"{'no bound' if high is None else high}] it was marked with"
            )
        return size if size < SMALLEST_DYNAMIC else tracer.sizes.marked(size, source, low, high)

    def integer(self, tracer: Tracer, value: int, source: Source) -> int | SymExpr:
        """An int read from outside: a constant, or a symbol once it has been seen to vary."""
        if str(source) in self._varying:
            tracer.guards.add(GuardKind.INTEGER, source, int)
            return tracer.sizes.integer(value, source)
        tracer.guards.add(GuardKind.CONSTANT, source, value)
        return value
