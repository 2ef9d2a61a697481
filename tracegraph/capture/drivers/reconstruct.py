"""From symbolic values back to real ones: emits the Python that rebuilds them after the graph has run.

Values from outside are named by their Source, tensors by the graph output that holds them, and what the trace made
is built anew, keeping every alias and cycle among the objects.
"""

from __future__ import annotations

import _thread
import collections
import collections.abc
import copy
import functools
import re
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from tracegraph.capture.drivers import iterators
from tracegraph.capture.drivers.not_reconstructible import NotReconstructible
from tracegraph.capture.guards.sources import Pool, SourceWriter
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.numpy_numbers import NumpyNumber
from tracegraph.capture.stack.object_ids import ObjectId, ThreadId
from tracegraph.capture.stack.storage import base_of_container, class_lookup, max_length, viewed
from tracegraph.capture.stack.texts import VaryingText
from tracegraph.capture.stack.values import (
    IDENTITY_TYPES,
    STAND_INS,
    VALUE_BASES,
    base_value,
    is_constant,
    is_instance_of_python_class,
    is_namedtuple,
    is_python_class,
    native_base,
)
from tracegraph.capture.tensors.arrays import ArrayIterator
from tracegraph.capture.tensors.gradients import as_spent, spent_op
from tracegraph.capture.trace.adapters import CallableAdapter, IteratorAdapter
from tracegraph.capture.trace.frame import Unread
from tracegraph.capture.trace.growing_lists import GrowingList
from tracegraph.capture.trace.instance_dicts import ClassDict, InstanceDict, instance_dict, slot_names
from tracegraph.capture.trace.namespaces import Globals
from tracegraph.capture.trace.native_draws import GENERATORS
from tracegraph.capture.trace.random_streams import StreamState
from tracegraph.capture.trace.replaced_methods import is_own
from tracegraph.capture.trace.tensor_states import GradFn, Leaf, as_leaf
from tracegraph.capture.trace.tracer import Tracer
from tracegraph.ir import Op, SymExpr, Value
from tracegraph.ir import dim as dims
from tracegraph.ops.core.sym_float import SymFloat
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.random.generator import Generator, after


def history_from(leaf: Leaf) -> NotReconstructible:
    """What to raise for a history that leaves the trace and begins in its midst."""
    return NotReconstructible(leaf, Break(reasons.TENSOR_ATTRIBUTE, "a tensor made a leaf, which results depend on"))


class Reconstructor:
    """Emits `lines` that build values; `expression(value)` names a value once its lines have run."""

    def __init__(self, tracer: Tracer, writer: SourceWriter) -> None:
        self.tracer = tracer
        self.writer = writer
        self.pool: Pool = writer.pool
        self.lines: list[str] = []
        self.outputs: list[Value] = []
        self._names: dict[int, str] = {}
        self._open: dict[int, str | None] = {}
        #: what is emitted when every object exists, and what after that, when they are complete
        self.later: list[Callable[[], None]] = []
        self.last: list[Callable[[], None]] = []
        self._count = 0

    def expression(self, value: Any) -> str:
        """A Python expression for `value`; may emit lines first.

        Raises:
            NotReconstructible: there is none.
        """
        if type(value) is Unread:
            return self.writer.name(value.source)
        if is_constant(value):
            return self._constant(value)
        source = self.tracer.source_of(value)
        if source is not None:
            return self.writer.name(source)
        found = self._names.get(id(value))
        if found is not None:
            return found
        builder = _BUILDERS.get(type(value))
        if builder is not None:
            return builder(self, value)
        return self._other(value)

    def finish(self) -> None:
        """Emit what was put off: contents of cells and instances until every object exists, then what hashes them."""
        while self.later or self.last:
            (self.later or self.last).pop(0)()

    def expressions(self, values: Any) -> str:
        return ", ".join(map(self.expression, values))

    # ------------------------------------------------------------------------------ naming

    def assign(self, value: Any, code: str, stem: str = "c") -> str:
        """Emit `name = code` and let the name stand for `value`."""
        name = f"{stem}{self._count}"
        self._count += 1
        self.lines.append(f"{name} = {code}")
        self._names[id(value)] = name
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

    def keyed(self, value: Any, empty: str, display: Callable[[], str], stem: str = "c") -> str:
        """A dict or set whose keys hash by Python code, which must find its objects complete."""
        name = self.assign(value, empty, stem)
        content = display()
        self.last.append(lambda: self.lines.append(f"{name}.update({content})"))
        return name

    def _hashes_late(self, keys: Any) -> bool:
        parts = (part for key in keys for part in (key if type(key) in (tuple, frozenset) else (key,)))
        return any(
            is_instance_of_python_class(p)
            and not self.tracer.is_outside(p)
            and isinstance(class_lookup(type(p), "__hash__"), types.FunctionType)
            for p in parts
        )

    # ------------------------------------------------------------------------------ leaves

    def _constant(self, value: Any) -> str:
        if type(value) in (int, str, bool, type(None), bytes):
            return repr(value)
        if type(value) is float and value - value == 0:
            return repr(value)
        return self.pool.name(value)

    def build_tensor(self, handle: Traced) -> str:
        """The graph output that holds a computed tensor."""
        if handle.recorder is not self.tracer.recorder:
            raise NotReconstructible(handle)
        if self.tracer.recorder.is_stale(handle.value):
            detail = "a view made outside grad mode of what got a history since, as a result"
            raise Break(reasons.TENSOR_ATTRIBUTE, detail, Extent.FRAME)
        spent = spent_op(self.tracer, handle)
        if spent is not None:
            without_history = self.build_tensor(handle.detach())
            return self.assign(handle, f"{self.pool.name(as_spent)}({without_history}, {spent!r})")
        leaf = self.tracer.tensors.check_history(handle.value) if handle.requires_grad else None
        if leaf is not None:
            return self._build_leaf(handle, leaf)
        value = self.tracer.recorder.as_result(handle.value)
        position = next((i for i, v in enumerate(self.outputs) if v is value), len(self.outputs))
        if position == len(self.outputs):
            self.outputs.append(value)
        name = f"t{position}"
        self._names[id(handle)] = name
        return name

    def _build_leaf(self, handle: Traced, leaf: Leaf) -> str:
        """A tensor that the trace made a leaf; of what is computed from one there is no history that begins there."""
        if leaf.handle is not handle:
            raise history_from(leaf)
        elements = self.build_tensor(handle.detach())
        gradient = self.expression(self.tracer.tensors.grad(handle))
        return self.assign(handle, f"{self.pool.name(as_leaf)}({elements}, {gradient})")

    def build_grad_fn(self, grad_fn: GradFn) -> str:
        """It belongs to the tape, which does not know it."""
        raise NotReconstructible(grad_fn, Break(reasons.TENSOR_ATTRIBUTE, "Tensor.grad_fn, other than asking for None"))

    def build_size(self, size: SymExpr) -> str:
        """Arithmetic on the sizes of the arguments."""
        text = str(size)
        for symbol in sorted(dims.symbols(size), key=len, reverse=True):
            name = self.writer.name(self.tracer.sizes.sources[symbol])
            text = re.sub(rf"\b{symbol}\b", name, text)
        for function in dims.FUNCTIONS:
            if f"{function}(" in text:
                text = text.replace(f"{function}(", f"{self.pool.name(dims.FUNCTIONS[function], function)}(")
        return f"({text})"

    def build_float(self, number: SymFloat | NumpyNumber | VaryingText) -> str:
        """A number or text that the arguments hold, or arithmetic on such."""
        return self.writer.name(number.source)

    # ------------------------------------------------------------------------------ the rest

    def _other(self, value: Any) -> str:
        if isinstance(value, (*IDENTITY_TYPES, Op)):
            return self._identity(value)
        if self.tracer.is_fresh(type(value)):
            raise NotReconstructible(type(value))
        if is_namedtuple(value):
            code = f"tuple.__new__({self._class(type(value))}, ({''.join(self.expression(v) + ', ' for v in value)}))"
            return self.assign(value, code)
        if is_instance_of_python_class(value) or isinstance(value, BaseException):
            return self._instance(value)
        if hasattr(type(value), "__next__"):
            return iterators.expression(self, value)
        raise NotReconstructible(value)

    def _identity(self, value: Any) -> str:
        owner = getattr(value, "__self__", None)
        is_bound = isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType)
        if is_bound and owner is not None and not isinstance(owner, types.ModuleType | type):
            return f"{self.expression(owner)}.{value.__name__}"
        for made in (value, type(value)):
            if isinstance(made, type) and self.tracer.is_fresh(made):
                raise NotReconstructible(made)
        return self.pool.name(value)

    def _class(self, cls: type) -> str:
        if self.tracer.is_fresh(cls):
            raise NotReconstructible(cls)
        source = self.tracer.source_of(cls)
        return self.writer.name(source) if source is not None else self.pool.name(cls)

    def _instance(self, value: Any) -> str:
        """An object the trace made: allocate, then fill in contents and attributes when all objects exist."""
        cls = self._class(type(value))
        if isinstance(value, BaseException):
            name = self.assign(value, f"{cls}.__new__({cls}, {self.expressions(value.args)})", "o")
        else:
            content = f", {self._constant(base_value(value))}" if isinstance(value, VALUE_BASES) else ""
            name = self.assign(value, f"{self.pool.name(native_base(type(value)))}.__new__({cls}{content})", "o")
        self.later.append(lambda: self._fill(name, value))
        return name

    def _fill(self, name: str, value: Any) -> None:
        if isinstance(value, dict):
            content = f"dict.update({name}, {self._dict_display(value)})"
            if base_of_container(value) is collections.OrderedDict:
                # its update() would call a __setitem__ of the derived class; dict's knows nothing of the order
                setter = f"{self.pool.name(collections.OrderedDict)}.__setitem__"
                content = f"for k, v in {self._dict_display(value)}.items(): {setter}({name}, k, v)"
            self._emit_keyed(base_of_container(value).keys(value), content)
        elif isinstance(value, list):
            self.lines.append(f"list.extend({name}, [{self.expressions(list.__iter__(value))}])")
        elif isinstance(value, set):
            self._emit_keyed(set.__iter__(value), f"set.update({name}, [{self.expressions(set.__iter__(value))}])")
        elif isinstance(value, collections.deque):
            items = self.expressions(collections.deque.__iter__(value))
            maker = self.pool.name(collections.deque)
            self.lines.append(f"{maker}.__init__({name}, [{items}], {max_length(value)})")
        if isinstance(value, BaseException):
            if value.__traceback__ is not None:
                raise NotReconstructible(value)
            for attribute in ("__cause__", "__context__", "__suppress_context__", *_exception_fields(type(value))):
                content = getattr(value, attribute)
                if content is not None and content is not False:
                    self.lines.append(f"{name}.{attribute} = {self.expression(content)}")
        for attribute, content in (instance_dict(value) or {}).items():
            self.lines.append(f"{name}.__dict__[{attribute!r}] = {self.expression(content)}")
        for attribute in slot_names(type(value)):
            if hasattr(value, attribute):
                content = self.expression(object.__getattribute__(value, attribute))
                self.lines.append(f"object.__setattr__({name}, {attribute!r}, {content})")

    def _emit_keyed(self, keys: Any, code: str) -> None:
        """Emit what hashes `keys`: now, or when all objects are complete if their `__hash__` is Python code."""
        if self._hashes_late(keys):
            self.last.append(lambda: self.lines.append(code))
        else:
            self.lines.append(code)

    def _dict_display(self, value: dict[Any, Any]) -> str:
        pairs = (f"{self.expression(k)}: {self.expression(v)}" for k, v in base_of_container(value).items(value))
        return f"{{{', '.join(pairs)}}}"

    # ------------------------------------------------------------------------------ builders

    def build_list(self, value: Any) -> str:
        return self.container(
            value, "[]", lambda: f"[{self.expressions(value)}]", lambda n: f"{n}.extend([{self.expressions(value)}])"
        )

    def build_dict(self, value: Any) -> str:
        if self._hashes_late(value):
            return self.keyed(value, "{}", lambda: self._dict_display(value))
        return self.container(
            value, "{}", lambda: self._dict_display(value), lambda n: f"{n}.update({self._dict_display(value)})"
        )

    def build_ordered_dict(self, value: Any) -> str:
        cls = self.pool.name(type(value))
        factory = ""
        if isinstance(value, collections.defaultdict):
            factory = f"{self.expression(_plain(value.default_factory))}, "
        if self._hashes_late(value):
            return self.keyed(value, f"{cls}({factory})", lambda: self._dict_display(value))
        return self.assign(value, f"{cls}({factory}{self._dict_display(value)})")

    def build_deque(self, value: Any) -> str:
        return self.assign(value, f"{self.pool.name(type(value))}([{self.expressions(value)}], {value.maxlen})")

    def build_tuple(self, value: Any) -> str:
        return f"({''.join(f'{self.expression(v)}, ' for v in value)})"

    def build_set(self, value: Any) -> str:
        if self._hashes_late(value):
            if type(value) is frozenset:
                raise NotReconstructible(value)
            return self.keyed(value, "set()", lambda: f"[{self.expressions(value)}]")
        return self.assign(value, f"{type(value).__name__}([{self.expressions(value)}])")

    def build_proxy(self, value: Any) -> str:
        return self.assign(value, f"{self.pool.name(type(value))}({self.expression(viewed(value))})")

    def build_bytearray(self, value: bytearray) -> str:
        return self.assign(value, f"bytearray({bytes(value)!r})")

    def build_slice(self, value: Any) -> str:
        return f"slice({self.expressions((value.start, value.stop, value.step))})"

    def build_method(self, value: types.MethodType) -> str:
        kind = type(value.__self__)
        is_programs = kind is Traced and isinstance(value.__func__, types.FunctionType) and not is_own(value.__func__)
        if (kind in STAND_INS and not is_programs) or kind in GENERATORS:
            return f"{self.expression(value.__self__)}.{value.__func__.__name__}"
        cls = self.pool.name(types.MethodType)
        return f"{cls}({self.expression(value.__func__)}, {self.expression(value.__self__)})"

    def build_partial(self, value: Any) -> str:
        keywords = f", **{self._dict_display(value.keywords)}" if value.keywords else ""
        args = self.expressions((value.func, *value.args))
        name = self.assign(value, f"{self.pool.name(functools.partial)}({args}{keywords})")
        if value.__dict__:
            self.later.append(
                lambda: self.lines.append(f"{name}.__dict__.update({self._dict_display(value.__dict__)})")
            )
        return name

    def build_cell(self, value: types.CellType) -> str:
        name = self.assign(value, f"{self.pool.name(types.CellType)}()", "cell")

        def fill() -> None:
            try:
                content = value.cell_contents
            except ValueError:
                return
            self.lines.append(f"{name}.cell_contents = {self.expression(content)}")

        self.later.append(fill)
        return name

    def build_function(self, value: types.FunctionType) -> str:
        """A function or lambda made during the trace."""
        closure = self.build_tuple(value.__closure__) if value.__closure__ else "None"
        make = self.pool.name(types.FunctionType)
        code, space = self.pool.name(value.__code__), self.pool.name(value.__globals__)
        defaults = self.expression(value.__defaults__)
        name = self.assign(value, f"{make}({code}, {space}, {value.__name__!r}, {defaults}, {closure})", "f")
        for attribute, content in (("__kwdefaults__", value.__kwdefaults__), ("__dict__", value.__dict__ or None)):
            if content is not None:
                self.lines.append(f"{name}.{attribute} = {self._dict_display(content)}")
        plain = types.FunctionType(value.__code__, value.__globals__, value.__name__, None, value.__closure__)
        for attribute in ("__qualname__", "__doc__", "__module__", "__annotations__"):
            content = getattr(value, attribute)
            if content != getattr(plain, attribute):
                self.lines.append(f"{name}.{attribute} = {self.expression(content)}")
        return name

    def build_super(self, value: Any) -> str:
        parts = (object.__getattribute__(value, n) for n in ("__thisclass__", "__self__"))
        return f"super({self.expressions(parts)})"

    def build_id(self, value: ObjectId) -> str:
        return f"id({self.expression(value.object)})"

    def build_thread_id(self, value: ThreadId) -> str:
        return f"{self.pool.name(_thread.get_ident)}()"

    def build_array(self, value: np.ndarray) -> str:
        """An array that the trace computed: a copy for every call."""
        if value.base is not None and self.tracer.is_fresh(value.base):
            raise NotReconstructible(value)
        return self.assign(value, f"{self.pool.name(value.copy(order='K'))}.copy(order='K')")

    def build_random_state(self, value: StreamState) -> str:
        """The state of a generator."""
        if value.source is None:
            return repr(value.known)
        state = self.writer.name(value.source)
        return f"{self.pool.name(after)}({state}, {value.draws})" if value.draws else state

    def build_generator(self, value: Generator) -> str:
        """A generator that the trace made."""
        state = self.build_random_state(self.tracer.random.stream(value).state)
        return self.assign(value, f"{self.pool.name(Generator)}.at({state})")

    def build_native_generator(self, value: Any) -> str:
        """A generator of Python's or numpy's that the trace made: a copy for every call."""
        return self.assign(value, f"{self.pool.name(copy.deepcopy)}({self.pool.name(value)})")

    def build_growing(self, value: GrowingList) -> str:
        """A list from outside that is only appended to."""
        return self.writer.name(value.source)

    def build_array_iterator(self, value: ArrayIterator) -> str:
        """An iterator over an array, advanced as far."""
        name = self.assign(value, f"iter({self.expression(value.array)})")
        if value.position:
            self.lines.append(f"{name}.__setstate__({value.position})")
        return name

    def build_attributes(self, value: InstanceDict) -> str:
        return f"{self.expression(value.owner)}.__dict__"

    def build_view(self, value: Any) -> str:
        """`object.__dict__.keys()` and the like."""
        mapping = vars(collections.abc.MappingView)["_mapping"].__get__(value)
        if not isinstance(mapping, InstanceDict):
            return self._instance(value)
        return f"{self.expression(mapping)}.{_ABSTRACT_VIEWS[type(value)]}()"

    def build_globals(self, value: Globals) -> str:
        return self.pool.name(value.owner)

    def build_adapted_callable(self, value: CallableAdapter) -> str:
        return self.expression(value.function)

    def build_adapted_iterator(self, value: IteratorAdapter) -> str:
        return self.expression(value.iterator)


#: views of mappings that stand for dicts
_ABSTRACT_VIEWS: dict[type, str] = {
    collections.abc.KeysView: "keys", collections.abc.ValuesView: "values", collections.abc.ItemsView: "items",
}  # fmt: skip


def _plain(value: Any) -> Any:
    return value.function if isinstance(value, CallableAdapter) else value


def _exception_fields(cls: type) -> list[str]:
    """What C exception classes keep beside `args`: `StopIteration.value`, `AttributeError.name`, ...

    The fields of an exception group are made from `args` and cannot be set.
    """
    c_classes = (b for b in cls.__mro__ if issubclass(b, BaseException) and not is_python_class(b))
    bases = (b for b in c_classes if b is not BaseExceptionGroup)
    return [n for b in bases for n, member in vars(b).items() if isinstance(member, types.MemberDescriptorType)]


_BUILDERS: dict[type, Callable[[Reconstructor, Any], str]] = {
    Traced: Reconstructor.build_tensor,
    GradFn: Reconstructor.build_grad_fn,
    SymExpr: Reconstructor.build_size,
    SymFloat: Reconstructor.build_float,
    NumpyNumber: Reconstructor.build_float,
    VaryingText: Reconstructor.build_float,
    list: Reconstructor.build_list,
    dict: Reconstructor.build_dict,
    collections.OrderedDict: Reconstructor.build_ordered_dict,
    collections.defaultdict: Reconstructor.build_ordered_dict,
    collections.deque: Reconstructor.build_deque,
    tuple: Reconstructor.build_tuple,
    set: Reconstructor.build_set,
    frozenset: Reconstructor.build_set,
    types.MappingProxyType: Reconstructor.build_proxy,
    bytearray: Reconstructor.build_bytearray,
    slice: Reconstructor.build_slice,
    types.MethodType: Reconstructor.build_method,
    functools.partial: Reconstructor.build_partial,
    types.CellType: Reconstructor.build_cell,
    types.FunctionType: Reconstructor.build_function,
    super: Reconstructor.build_super,
    np.ndarray: Reconstructor.build_array,
    ArrayIterator: Reconstructor.build_array_iterator,
    StreamState: Reconstructor.build_random_state,
    Generator: Reconstructor.build_generator,
    GrowingList: Reconstructor.build_growing,
    **dict.fromkeys(GENERATORS, Reconstructor.build_native_generator),
    ObjectId: Reconstructor.build_id,
    ThreadId: Reconstructor.build_thread_id,
    InstanceDict: Reconstructor.build_attributes,
    ClassDict: Reconstructor.build_attributes,
    Globals: Reconstructor.build_globals,
    **dict.fromkeys(_ABSTRACT_VIEWS, Reconstructor.build_view),
    CallableAdapter: Reconstructor.build_adapted_callable,
    IteratorAdapter: Reconstructor.build_adapted_iterator,
}
