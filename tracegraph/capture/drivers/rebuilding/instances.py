"""Objects of the program's classes and exceptions that the trace made; what stands for the dicts of objects."""

from __future__ import annotations

import _thread
import collections
import collections.abc
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tracegraph.capture.drivers.rebuilding.containers import dict_display, hashes_late
from tracegraph.capture.drivers.rebuilding.not_reconstructible import NotReconstructible
from tracegraph.capture.stack.object_ids import ObjectId, ThreadId
from tracegraph.capture.stack.storage import base_of_container, max_length
from tracegraph.capture.stack.values import VALUE_BASES, base_value, is_python_class, native_base
from tracegraph.capture.trace.instance_dicts import ClassDict, InstanceDict, instance_dict, slot_names
from tracegraph.capture.trace.namespaces import Globals

if TYPE_CHECKING:
    from tracegraph.capture.drivers.rebuilding.reconstructor import Reconstructor


def build_instance(reconstructor: Reconstructor, value: Any) -> str:
    """An object the trace made: allocate, then fill in contents and attributes when all objects exist."""
    cls = reconstructor.class_name(type(value))
    if isinstance(value, BaseException):
        made = f"{cls}.__new__({cls}, {reconstructor.expressions(value.args)})"
    else:
        content = f", {reconstructor.constant(base_value(value))}" if isinstance(value, VALUE_BASES) else ""
        made = f"{reconstructor.pool.name(native_base(type(value)))}.__new__({cls}{content})"
    name = reconstructor.assign(value, made, "o")
    reconstructor.later.append(lambda: _fill(reconstructor, name, value))
    return name


def _fill(reconstructor: Reconstructor, name: str, value: Any) -> None:
    _fill_container(reconstructor, name, value)
    if isinstance(value, BaseException):
        if value.__traceback__ is not None:
            raise NotReconstructible(value)
        for attribute in ("__cause__", "__context__", "__suppress_context__", *_exception_fields(type(value))):
            content = getattr(value, attribute)
            if content is not None and content is not False:
                reconstructor.lines.append(f"{name}.{attribute} = {reconstructor.expression(content)}")
    for attribute, content in (instance_dict(value) or {}).items():
        reconstructor.lines.append(f"{name}.__dict__[{attribute!r}] = {reconstructor.expression(content)}")
    for attribute, content in _slots(value):
        reconstructor.lines.append(f"object.__setattr__({name}, {attribute!r}, {reconstructor.expression(content)})")


def _slots(value: Any) -> Iterator[tuple[str, Any]]:
    for attribute in slot_names(type(value)):
        if hasattr(value, attribute):
            yield attribute, object.__getattribute__(value, attribute)


def _fill_container(reconstructor: Reconstructor, name: str, value: Any) -> None:
    """What an instance of a class derived from a container holds; no method of the derived class is called."""
    if isinstance(value, dict):
        content = f"dict.update({name}, {dict_display(reconstructor, value)})"
        if base_of_container(value) is collections.OrderedDict:
            # its update() would call a __setitem__ of the derived class; dict's knows nothing of the order
            setter = f"{reconstructor.pool.name(collections.OrderedDict)}.__setitem__"
            content = f"for k, v in {dict_display(reconstructor, value)}.items(): {setter}({name}, k, v)"
        _emit_keyed(reconstructor, base_of_container(value).keys(value), content)
    elif isinstance(value, list):
        reconstructor.lines.append(f"list.extend({name}, [{reconstructor.expressions(list.__iter__(value))}])")
    elif isinstance(value, set):
        items = reconstructor.expressions(set.__iter__(value))
        _emit_keyed(reconstructor, set.__iter__(value), f"set.update({name}, [{items}])")
    elif isinstance(value, collections.deque):
        items = reconstructor.expressions(collections.deque.__iter__(value))
        maker = reconstructor.pool.name(collections.deque)
        reconstructor.lines.append(f"{maker}.__init__({name}, [{items}], {max_length(value)})")


def _emit_keyed(reconstructor: Reconstructor, keys: Any, code: str) -> None:
    """Emit what hashes `keys`: now, or when all objects are complete if their `__hash__` is Python code."""
    if hashes_late(reconstructor, keys):
        reconstructor.last.append(lambda: reconstructor.lines.append(code))
    else:
        reconstructor.lines.append(code)


def _exception_fields(cls: type) -> list[str]:
    """What C exception classes keep beside `args`: `StopIteration.value`, `AttributeError.name`, ...

    The fields of an exception group are made from `args` and cannot be set.
    """
    c_classes = (b for b in cls.__mro__ if issubclass(b, BaseException) and not is_python_class(b))
    bases = (b for b in c_classes if b is not BaseExceptionGroup)
    return [n for b in bases for n, member in vars(b).items() if isinstance(member, types.MemberDescriptorType)]


# ------------------------------------------------------------------------------------------ dicts and ids of objects


def _attributes(reconstructor: Reconstructor, value: InstanceDict) -> str:
    return f"{reconstructor.expression(value.owner)}.__dict__"


#: views of mappings that stand for dicts
_ABSTRACT_VIEWS: dict[type, str] = {
    collections.abc.KeysView: "keys", collections.abc.ValuesView: "values", collections.abc.ItemsView: "items",
}  # fmt: skip


def _view(reconstructor: Reconstructor, value: Any) -> str:
    """`object.__dict__.keys()` and the like."""
    mapping = vars(collections.abc.MappingView)["_mapping"].__get__(value)
    if not isinstance(mapping, InstanceDict):
        return build_instance(reconstructor, value)
    return reconstructor.assign(value, f"{reconstructor.expression(mapping)}.{_ABSTRACT_VIEWS[type(value)]}()")


def _globals(reconstructor: Reconstructor, value: Globals) -> str:
    return reconstructor.pool.name(value.owner)


def _object_id(reconstructor: Reconstructor, value: ObjectId) -> str:
    return f"id({reconstructor.expression(value.object)})"


def _thread_id(reconstructor: Reconstructor, value: ThreadId) -> str:
    return f"{reconstructor.pool.name(_thread.get_ident)}()"


BUILDERS: dict[type, Callable[[Reconstructor, Any], str]] = {
    InstanceDict: _attributes,
    ClassDict: _attributes,
    **dict.fromkeys(_ABSTRACT_VIEWS, _view),
    Globals: _globals,
    ObjectId: _object_id,
    ThreadId: _thread_id,
}
