"""Which sizes and numbers become symbols: static at first, dynamic once they have been seen to vary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import CellType
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards import eager
from tracegraph.capture.guards.guard import Stride, TensorFacts
from tracegraph.capture.guards.sources import Contents, Entry, GlobalName, Item, Local, Size, Source, constant_source
from tracegraph.capture.guards.user_terms import source_text
from tracegraph.capture.stack.constants import same_constant
from tracegraph.capture.stack.values import NUMPY_NUMBERS, SEQUENCES, TUPLES, is_varying
from tracegraph.capture.trace.effects import AttributeWrite, GlobalWrite
from tracegraph.capture.trace.instance_dicts import instance_dict
from tracegraph.capture.trace.size_marks import SizeMark, marks_of
from tracegraph.errors import ConstraintViolationError
from tracegraph.ir import SymExpr

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

#: sizes 0 and 1 behave differently under broadcasting, so they always get graphs of their own
SMALLEST_DYNAMIC = 2
_NUMBERS = NUMPY_NUMBERS | {int, float}
_CONTAINERS = SEQUENCES | {dict}


@dataclass
class Dynamism:
    """The policy of one code object, kept between its traces.

    What a Module holds varies if it has changed on one Module. Another Module through the same code with other sizes
    and numbers is another kind of call: layers of several widths have a static graph each, as in PyTorch.

    Args:
        dynamic: True makes every size symbolic, False none, None those seen to vary.
    """

    dynamic: bool | None = None
    _varying: set[str] = field(default_factory=set)
    #: whether an int that varies was last below 0, and those that have been seen of both signs
    _below_zero: dict[str, bool] = field(default_factory=dict)
    _of_both_signs: set[str] = field(default_factory=set)
    #: the shape of every input in the last trace that read it
    _shapes: dict[str, tuple[int | None, tuple[int, ...]]] = field(default_factory=dict)
    #: the value of every number and tuple of constants in the last trace that read it
    _numbers: dict[str, tuple[int | None, Any]] = field(default_factory=dict)

    def _note_sizes(self, source: Source, shape: tuple[int, ...], owner: int | None = None) -> None:
        """Learn which sizes of `source` vary from trace to trace; all inputs of a trace are compared, not only the
        one whose guard failed first, so that a list of growing tensors takes one trace and not one for each.
        """
        last = _replace(self._shapes, str(source), shape, owner)
        if self.dynamic is not False and len(last) == len(shape):
            self._varying |= {
                str(Size(source, i)) for i, (old, new) in enumerate(zip(last, shape, strict=True)) if old != new
            }

    def varies(self, source: Source, value: Any, owner: int | None = None) -> bool:
        """Whether an int or float at `source`, or one in the tuple of constants there, is to be read as a symbol.

        Like sizes, numbers are compared from trace to trace: one that has changed its value varies.

        Args:
            owner: identifies the Module that holds it, if one does.
        """
        if self.dynamic is False:
            return False
        name = str(source)
        last = _replace(self._numbers, name, value, owner)
        if type(value) is int:
            self.has_both_signs(source, value)
        if not same_constant(last, value) and type(last) is type(value):
            is_tuple = type(value) in TUPLES
            if not is_tuple or (len(last) == len(value) and any(type(v) in _NUMBERS for v in value)):
                self._varying.add(name)
            for i, item in enumerate(last if is_tuple else ()):
                self._numbers.setdefault(str(Item(source, i)), (owner, item))
        return name in self._varying or (self.dynamic is True and _is_argument(source))

    def has_both_signs(self, source: Source, value: int) -> bool:
        """Whether the int at `source` has been seen to be below 0 and not to be."""
        name = str(source)
        if self._below_zero.setdefault(name, value < 0) is not (value < 0):
            self._of_both_signs.add(name)
        return name in self._of_both_signs

    def expect(self, source: Source) -> None:
        """Let a number at `source` be a symbol from the first trace on."""
        if self.dynamic is not False:
            self._varying.add(str(source))

    def learn(self, source: Source, value: Any) -> None:
        """Take note of an argument of a call that is not traced: of its size, or of the number, or of what is in it."""
        if eager.is_tensor(value):
            self._note_sizes(source, tuple(value.shape))
        elif type(value) in _NUMBERS:
            self.varies(source, value)
        elif type(value) in _CONTAINERS:
            for key, item in value.items() if type(value) is dict else enumerate(value):
                self.learn(Item(source, key), item)

    def learns_counters(self, tracer: Tracer) -> bool:
        """Whether the trace has read numbers as constants that it changes itself, so that it would never be reused.

        From now on they vary: a position, a step or a rate that each call moves on takes one trace.
        """
        if self.dynamic is False:
            return False
        found = {str(s) for s, before, after in _changes(tracer) if _is_counter(before, after)}
        found &= self._numbers.keys() - self._varying
        self._varying |= found
        return bool(found)

    def tensor(self, tracer: Tracer, tensor: Any, source: Source) -> tuple[tuple[int | SymExpr, ...], TensorFacts]:
        """The symbolic shape of an input, and the facts to guard."""
        layout, marks = eager.layout_of(tensor), marks_of(tensor)
        self._note_sizes(source, tuple(tensor.shape), tracer.owner_of(source))
        shape = tuple(tensor.shape)
        if not tracer.foresight.is_fixed(source):
            shape = tuple(self._size(tracer, n, Size(source, i), marks.get(i)) for i, n in enumerate(shape))
        pattern = tuple(None if isinstance(d, SymExpr) else d for d in shape)
        if layout != "contiguous":
            layout = _strides_over(tensor.shape, layout, pattern)
        facts = TensorFacts(type(tensor), tensor.dtype, pattern, layout, bool(tensor.requires_grad))
        return shape, facts

    def _size(self, tracer: Tracer, size: int, source: Size, mark: SizeMark | None) -> int | SymExpr:
        if mark is not None and mark.is_dynamic:
            return self._marked(tracer, size, source, mark)
        varies = mark is None and str(source) in self._varying
        if size < SMALLEST_DYNAMIC or not (varies or (mark is None and self.dynamic)):
            return size
        # what is only said to vary is taken to be the same size where it is equal now, as in PyTorch
        return tracer.sizes.symbol(size, source) if varies else tracer.sizes.shared(size, source)

    def _marked(self, tracer: Tracer, size: int, source: Size, mark: SizeMark) -> int | SymExpr:
        low, high = max(mark.min or 0, SMALLEST_DYNAMIC), mark.max
        if size < (mark.min or 0) or (high is not None and size > high):
            raise ConstraintViolationError(
                f"mark_dynamic: {source_text(source)} is {size}, outside the range [{mark.min or 0}, "
                f"{'no bound' if high is None else high}] it was marked with"
            )
        if size < SMALLEST_DYNAMIC:
            return size
        return tracer.sizes.marked(size, source, low, high) if mark.is_required else tracer.sizes.symbol(size, source)


def _replace(records: dict[str, tuple[int | None, Any]], name: str, value: Any, owner: int | None) -> Any:
    """Record a value; the one before it, itself if there is none or another Module held that."""
    last_owner, last = records.get(name, (owner, value))
    records[name] = (owner, value)
    return last if last_owner == owner else value


def _strides_over(
    shape: Sequence[int], strides: tuple[int, ...], pattern: tuple[int | None, ...]
) -> tuple[int | Stride, ...]:
    """Strides as they follow from sizes that vary (None in `pattern`), from the innermost dimension outwards.

    Where a dimension steps over exactly the whole of the next inner one, it does so for every size; other strides
    (of slices, of broadcasts) are taken to stay as they are.
    """
    found: dict[int, Stride] = {}
    inner: int | None = None
    for i in sorted(range(len(shape)), key=lambda i: (strides[i], -i)):
        found[i] = Stride(strides[i], ())
        if inner is not None and strides[i] == shape[inner] * strides[inner]:
            whole, size = found[inner], pattern[inner]
            if size is None:
                found[i] = Stride(whole.factor, (*whole.dims, inner))
            else:
                found[i] = Stride(whole.factor * size, whole.dims)
        inner = i if strides[i] else inner
    return tuple(s if s.dims else s.factor for _, s in sorted(found.items()))


def _changes(tracer: Tracer) -> Iterator[tuple[Source, Any, Any]]:
    """(place, value before the trace, value after it) of what the trace writes to."""
    for copy in tracer.effects.changed_copies():
        before, after = copy.before, copy.contents
        if isinstance(after, dict):
            yield from ((Item(copy.source, k), v, after[k]) for k, v in before.items() if k in after)
        elif isinstance(after, list) and len(before) == len(after):
            yield from ((Item(copy.source, i), v, after[i]) for i, v in enumerate(before))
    for write in tracer.effects.writes:
        if isinstance(write, AttributeWrite) and isinstance(write.target, type):
            entry = tracer.entry_source(write.target, write.name)
            yield entry, write.target.__dict__.get(write.name), write.value
        elif isinstance(write, AttributeWrite):
            source, stored = tracer.source_of(write.target), instance_dict(write.target)
            if source is not None and stored is not None:
                yield Entry(source, write.name), stored.get(write.name), write.value
        elif isinstance(write, GlobalWrite):
            scope = constant_source(write.namespace)
            yield GlobalName(scope, write.name), write.namespace.get(write.name), write.value
        else:
            source = tracer.source_of(write.cell)
            if source is not None:
                yield Contents(source), _contents(write.cell), write.value


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _is_counter(before: Any, after: Any) -> bool:
    is_number = type(before) in _NUMBERS and (type(after) in _NUMBERS or is_varying(after))
    return is_number and (is_varying(after) or not same_constant(before, after))


def _is_argument(source: Source) -> bool:
    """Whether a source is an argument of the captured function, or an element of one."""
    while isinstance(source, Item):
        source = source.parent
    return isinstance(source, Local)
