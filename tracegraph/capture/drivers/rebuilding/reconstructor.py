"""Emits the Python that rebuilds values.

Values from outside are named by their Source, tensors by the graph output that holds them, and what the trace made
is built anew, keeping every alias and cycle among the objects.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Iterable
from typing import Any

from tracegraph.capture.drivers.rebuilding import (
    classes,
    containers,
    functions,
    generators,
    instances,
    iterators,
    tensors,
    weak_mappings,
)
from tracegraph.capture.drivers.rebuilding.not_reconstructible import NotReconstructible
from tracegraph.capture.guards.sources import Pool, SourceWriter
from tracegraph.capture.stack.values import IDENTITY_TYPES, is_constant, is_instance_of_python_class, is_namedtuple
from tracegraph.capture.trace.frame import Unread
from tracegraph.capture.trace.tracer import Tracer
from tracegraph.ir import Op, Value


class Reconstructor:
    """Emits `lines` that build values; `expression(value)` names a value once its lines have run.

    Attributes:
        outputs: what the graph is to return; the driver calls them t0, t1, ...
        later: what is emitted when every object exists.
        last: what is emitted after that, when they are complete.
    """

    def __init__(self, tracer: Tracer, writer: SourceWriter) -> None:
        self.tracer = tracer
        self.writer = writer
        self.pool: Pool = writer.pool
        self.lines: list[str] = []
        self.outputs: list[Value] = []
        self.later: list[Callable[[], None]] = []
        self.last: list[Callable[[], None]] = []
        #: by the id of a value, which is kept so that no other gets its id
        self._names: dict[int, tuple[Any, str]] = {}
        self._open: dict[int, str | None] = {}
        self._count = 0

    def expression(self, value: Any) -> str:
        """A Python expression for `value`; may emit lines first.

        Raises:
            NotReconstructible: there is none.
        """
        if type(value) is Unread:
            return self.writer.name(value.source)
        if is_constant(value):
            return self.constant(value)
        if issubclass(type(value), enum.Enum) and self.tracer.is_fresh(type(value)):
            return classes.build_member(self, value)  # also where the library's own code has looked it up
        source = self.tracer.source_of(value)
        if source is not None:
            return self.writer.name(source)
        if id(value) in self._names:
            return self._names[id(value)][1]
        builder = _BUILDERS.get(type(value))
        return builder(self, value) if builder is not None else self._other(value)

    def expressions(self, values: Iterable[Any]) -> str:
        """The expressions of several values, with commas between them."""
        return ", ".join(map(self.expression, values))

    def tuple_display(self, values: Iterable[Any]) -> str:
        """`(value, ...)`."""
        return f"({''.join(f'{self.expression(v)}, ' for v in values)})"

    def constant(self, value: Any) -> str:
        """A literal, or the name of a constant."""
        if type(value) in (int, str, bool, type(None), bytes):
            return repr(value)
        if type(value) is float and value - value == 0:
            return repr(value)
        return self.pool.name(value)

    def class_name(self, cls: type) -> str:
        """The expression for a class.

        Raises:
            NotReconstructible: a class statement of the trace made it.
        """
        if self.tracer.is_fresh(cls):
            return classes.build_class(self, cls)
        source = self.tracer.source_of(cls)
        return self.writer.name(source) if source is not None else self.pool.name(cls)

    def finish(self) -> None:
        """Emit what was put off: contents of cells and instances until every object exists, then what hashes them."""
        while self.later or self.last:
            (self.later or self.last).pop(0)()

    def name_of(self, value: Any) -> str | None:
        """The name of what has been rebuilt for `value`, if it has been."""
        return self._names[id(value)][1] if id(value) in self._names else None

    def release(self) -> None:
        """Let go of all values; what was put off refers to them, and to this."""
        self._names.clear()
        self.later.clear()
        self.last.clear()

    # ------------------------------------------------------------------------------ naming

    def assign(self, value: Any, code: str, stem: str = "c") -> str:
        """Emit `name = code` and let the name stand for `value`."""
        if id(value) in self._names:
            # what cannot change, in a cycle: it was built while its parts were
            return self._names[id(value)][1]
        name = f"{stem}{self._count}"
        self._count += 1
        self.lines.append(f"{name} = {code}")
        self._names[id(value)] = value, name
        return name

    def container(self, value: Any, empty: str, full: Callable[[], str], fill: Callable[[str], str]) -> str:
        """A container that may hold itself: built at once if it does not, else made empty and then filled."""
        if id(value) in self._open:
            name = self._open[id(value)] = self.assign(value, empty)
            return name
        self._open[id(value)] = None
        code = full()
        early = self._open.pop(id(value))
        if early is None:
            return self.assign(value, code)
        self.lines.append(fill(early))
        return early

    def output(self, value: Any, result: Value) -> str:
        """Let the graph return `result`, which stands for `value` then."""
        position = next((i for i, v in enumerate(self.outputs) if v is result), len(self.outputs))
        if position == len(self.outputs):
            self.outputs.append(result)
        name = f"t{position}"
        self._names[id(value)] = value, name
        return name

    # ------------------------------------------------------------------------------ values of no class in the table

    def _other(self, value: Any) -> str:
        if isinstance(value, (*IDENTITY_TYPES, Op)):
            return self._identity(value)
        if is_namedtuple(value):
            return self.assign(value, f"tuple.__new__({self.class_name(type(value))}, {self.tuple_display(value)})")
        if is_instance_of_python_class(value) or isinstance(value, BaseException):
            return instances.build_instance(self, value)
        if hasattr(type(value), "__next__"):
            return iterators.build_iterator(self, value)
        raise NotReconstructible(value)

    def _identity(self, value: Any) -> str:
        owner = getattr(value, "__self__", None)
        is_bound = isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType)
        if is_bound and owner is not None and not isinstance(owner, types.ModuleType | type):
            return self.assign(value, f"({self.expression(owner)}).{value.__name__}")
        if isinstance(value, type) and self.tracer.is_fresh(value):
            return classes.build_class(self, value)
        if self.tracer.is_fresh(type(value)):
            raise NotReconstructible(type(value))
        return self.pool.name(value)


_BUILDERS: dict[type, Callable[[Reconstructor, Any], str]] = {
    **tensors.BUILDERS,
    **containers.BUILDERS,
    **functions.BUILDERS,
    **instances.BUILDERS,
    **iterators.BUILDERS,
    **generators.BUILDERS,
    **weak_mappings.BUILDERS,
}
