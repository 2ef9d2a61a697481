"""Methods of WeakKeyDictionary and WeakSet: of those that the trace makes, and of those from outside."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.calls.questions import call_keyed, call_of_living
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import Observed, is_of_python
from tracegraph.capture.trace.weak_mappings import CLASSES

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def _refused(function: Any, why: str = "") -> Break:
    return Break(reasons.NATIVE_CALL, f"{function.__module__}.{function.__qualname__}(){why}")


def _call_init(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> None:
    mapping, *data = args
    if type(mapping) not in CLASSES or not tracer.is_fresh(mapping) or data or kwargs:
        raise _refused(function, " with data")
    tracer.weak_mappings.make(mapping)


def _call_put(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> None:
    """`mapping[key] = value`, or `add(element)`."""
    mapping, key, *value = args
    if not tracer.weak_mappings.takes(mapping, key):
        raise _refused(function)
    tracer.weak_mappings.put(mapping, key, value[0] if value else None)


def _call_lookup(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    """`mapping[key]`, `key in mapping`, `mapping.get(key)`.

    Raises:
        Observed: there is no such key.
    """
    mapping, key, *default = *args, *kwargs.values()
    weak = tracer.weak_mappings
    if not weak.takes(mapping, key):
        if weak.is_made(mapping):
            raise _refused(function)
        return call_keyed(tracer, function, args, kwargs)
    entry = weak.get(mapping, key)
    if entry is None and not weak.is_made(mapping) and not tracer.is_fresh(key):
        return call_keyed(tracer, function, args, kwargs)
    if function.__name__ == "__contains__":
        return entry is not None
    if entry is None and function.__name__ == "__getitem__":
        raise Observed(KeyError(weakref.ref(key)))
    return entry.value if entry is not None else (*default, None)[0]


def _call_len(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    mapping = args[0]
    entries = tracer.weak_mappings.entries(mapping)
    if not tracer.weak_mappings.is_made(mapping):
        if entries:
            raise _refused(function, " after a write")
        return call_of_living(tracer, function, args, kwargs)
    if not all(tracer.weak_mappings.is_held(e.key) for e in entries):
        raise _refused(function, " of keys that may have died")
    return len(entries)


_HANDLERS: dict[str, Callable[[Any, Any, Args, Kwargs], Any]] = {
    "__init__": _call_init,
    "__setitem__": _call_put,
    "add": _call_put,
    "__getitem__": _call_lookup,
    "__contains__": _call_lookup,
    "get": _call_lookup,
    "__len__": _call_len,
}
#: handlers by function
BY_FUNCTION = {
    vars(cls)[name]: handler
    for cls in CLASSES
    for name, handler in _HANDLERS.items()
    if name in vars(cls) and is_of_python(vars(cls)[name])
}
