"""Methods of builtin containers, whose contents the trace owns: what each looks into decides how it may run.

Three properties count: whether a method iterates its argument, hashes a key, and compares elements.
"""

from __future__ import annotations

import collections
import types
from typing import TYPE_CHECKING, Any

from tracegraph.capture.calls.native_arguments import for_c, known, refuse_objects
from tracegraph.capture.protocols.containers import contains, index
from tracegraph.capture.protocols.ordering import sort_items
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import DICT_VIEW_TYPES, Observed, is_instance_of_python_class
from tracegraph.capture.trace.instance_dicts import InstanceDict
from tracegraph.capture.trace.keys import check_hashable, check_sought
from tracegraph.capture.trace.safety import comparable

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

#: methods of containers that store, return or drop references and nothing else
_MOVING = frozenset({
    "append", "appendleft", "insert", "pop", "popleft", "popitem", "clear", "copy", "reverse", "get", "setdefault",
    "keys", "values", "items", "rotate", "add", "discard", "move_to_end", "__setitem__", "__getitem__",
    "__delitem__", "__contains__", "__len__", "__reduce__", "__length_hint__", "indices",
})  # fmt: skip
#: methods that take an iterable and store its items
_ITERATING = frozenset({
    "extend", "extendleft", "update", "union", "intersection", "difference", "symmetric_difference", "fromkeys",
    "issubset", "issuperset", "isdisjoint", "difference_update", "intersection_update",
    "symmetric_difference_update", "__init__", "join",
})  # fmt: skip
#: methods that change nothing
_READING = frozenset({
    "copy", "get", "keys", "values", "items", "__getitem__", "__contains__", "__len__", "__iter__", "__reduce__",
    "__length_hint__", "indices", "index", "count", "union", "intersection", "difference", "symmetric_difference",
    "issubset", "issuperset", "isdisjoint", "fromkeys",
})  # fmt: skip
#: methods whose first argument is a key
_KEYED = frozenset({"get", "pop", "setdefault", "add", "discard", "remove", "move_to_end", "__setitem__",
                    "__getitem__", "__delitem__", "__contains__"})  # fmt: skip
#: of those, the ones that look for what may be a set itself
_SEEKING = frozenset({"discard", "remove", "__contains__"})
#: methods of sequences whose first argument is a position, or a number of them
_COUNTED = frozenset({"pop", "insert", "rotate"})
#: methods that compare elements
_COMPARING = frozenset({"index", "remove", "count", "sort"})


def call_container(tracer: Tracer, method: Any, owner: Any, args: Args, kwargs: Kwargs) -> Any:
    """A method of a builtin container whose contents the trace owns."""
    name = method.__name__
    is_keyed = isinstance(owner, dict | set | frozenset | types.MappingProxyType)
    if is_keyed and name in _KEYED and args:
        sought = check_sought if name in _SEEKING else check_hashable
        args = (sought(tracer, args[0], owner), *args[1:])
    elif not is_keyed:
        args = (index(tracer, args[0]), *args[1:]) if name in _COUNTED and args else args
        args = known(tracer, args) if name in _COUNTED else args
    if name == "pop" and isinstance(owner, set) and tracer.effects.is_tracked(owner):
        raise Break(reasons.UNSUPPORTED_VALUE, "pop() of a set from outside, which alone knows what comes first")
    if name not in _READING:
        tracer.effects.note_write()
    if name in _ITERATING or (is_keyed and name == "update"):
        has_factory = name == "__init__" and isinstance(owner, collections.defaultdict)
        factory, args = (args[:1], args[1:]) if has_factory else ((), args)
        args = (*factory, *(hashable_items(tracer, owner, args) if is_keyed else args))
        return tracer.native(method, *for_c(tracer, args), **kwargs)
    if name == "__contains__" and isinstance(owner, (list, tuple, *DICT_VIEW_TYPES)):
        return contains(tracer, owner, *args)
    if isinstance(owner, slice):
        refuse_objects(tracer, method, (owner, *args), kwargs)
    if name in _COMPARING:
        return _call_comparing(tracer, method, owner, args, kwargs)
    if name in _MOVING or is_keyed:
        return tracer.native(method, *args, **kwargs)
    if isinstance(owner, tuple | slice) or name.startswith("__"):
        refuse_objects(tracer, method, args, kwargs)
        return tracer.native(method, *args, **kwargs)
    raise Break(reasons.NATIVE_CALL, f"{type(owner).__name__}.{name}()")


def _call_comparing(tracer: Tracer, method: Any, owner: Any, args: Args, kwargs: Kwargs) -> Any:
    """`index`, `count`, `remove` and `sort` of a sequence."""
    if method.__name__ == "sort":
        if args or not kwargs.keys() <= {"key", "reverse"}:
            return tracer.native([].sort, *args, **kwargs)  # which raises
        return sort_items(tracer, owner, *args, **kwargs)
    contents = list(list.__iter__(owner)) if is_instance_of_python_class(owner) else owner
    subject, *items = comparable(tracer, (contents, *args))
    if subject is contents:
        return tracer.native(method, *items, **kwargs)
    if method.__name__ != "remove":
        return tracer.native(getattr(subject, method.__name__), *items, **kwargs)
    position = next((i for i, other in enumerate(subject) if tracer.native(_is_same, other, *items)), None)
    if position is None:
        kind = type(owner).__name__
        raise Observed(ValueError(f"{kind}.remove(x): x not in {kind}"))
    del owner[position]
    return None


def _is_same(a: Any, b: Any) -> bool:
    return a is b or bool(a == b)


def hashable_items(tracer: Tracer, owner: Any, args: Args) -> Args:
    """Items that become keys of `owner`, checked, in a form that C code may iterate."""
    from tracegraph.capture.protocols.iteration import mapping, materialised

    if not args or args[-1] is None:
        return args
    items = args[-1]
    if isinstance(owner, dict) and (isinstance(items, types.MappingProxyType) or _is_mapping(tracer, items)):
        items = mapping(tracer, items)
    elif not isinstance(items, dict | InstanceDict):
        items = materialised(tracer, items)
    keys = list(owner)
    for item in items:
        is_pair = isinstance(item, tuple | list) and len(item) == 2 and isinstance(owner, dict)
        keys.append(check_hashable(tracer, item[0] if is_pair else item, keys))
    return (*args[:-1], items)


def _is_mapping(tracer: Tracer, value: Any) -> bool:
    return is_instance_of_python_class(value) and tracer.class_entry(type(value), "keys") is not MISSING
