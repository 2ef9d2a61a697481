"""Functions of the standard library with a meaning of their own in a trace, because their code cannot be followed.

Caches, regular expressions, dispatch on types, getters: what each depends on is recorded here.
"""

from __future__ import annotations

import _thread
import functools
import operator
import re
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture import attributes, containers
from tracegraph.capture import break_reasons as reasons
from tracegraph.capture.adapters import CallableAdapter
from tracegraph.capture.break_reasons import Break
from tracegraph.capture.checker import same_constant
from tracegraph.capture.object_ids import ThreadId
from tracegraph.capture.safety import specialised
from tracegraph.capture.sources import Contents, Item, Slot
from tracegraph.capture.values import is_constant, is_varying

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


# ------------------------------------------------------------------------------------------ caches


def call_cached(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    """A function under `functools.lru_cache`: the function itself, where nobody can tell the difference.

    Raises:
        Break: the result is an object that a second call would share, or the call has side effects.
    """
    from tracegraph.capture.calls import call

    if not all(map(_is_data, (*args, *kwargs.values()))):
        raise Break(reasons.NATIVE_CALL, f"{function.__qualname__}(), which caches results by object")
    source = tracer.source_of(function)
    inner = function.__wrapped__
    inner = tracer.read(inner, Slot(source, "__wrapped__")) if source is not None else inner
    with tracer.effects.unchanging("calling a function that caches its results"):
        result = call(tracer, inner, args, kwargs)
    if not _is_data(result):
        raise Break(reasons.NATIVE_CALL, f"{function.__qualname__}(), which caches an object")
    if source is not None and not _is_cached(tracer, function, args, kwargs, result):
        raise Break(reasons.NATIVE_CALL, f"{function.__qualname__}(), which has cached another result")
    return result


def _is_cached(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs, result: Any) -> bool:
    """Whether the cache answers what the function does by now; it has no effect but to be remembered there."""
    known = {k: specialised(tracer, v) for k, v in kwargs.items()}
    cached = tracer.native(function, *(specialised(tracer, a) for a in args), **known)
    return same_constant(cached, specialised(tracer, result))


def _is_data(value: Any) -> bool:
    return is_constant(value) or is_varying(value)


# ------------------------------------------------------------------------------------------ getters


def call_item_getter(tracer: Tracer, getter: Any, args: Args, kwargs: Kwargs) -> Any:
    """`operator.itemgetter(...)(x)`."""
    keys = getter.__reduce__()[1]
    found = tuple(containers.subscript(tracer, args[0], key) for key in keys)
    return found[0] if len(keys) == 1 else found


def call_attribute_getter(tracer: Tracer, getter: Any, args: Args, kwargs: Kwargs) -> Any:
    """`operator.attrgetter(...)(x)`, dotted names included."""
    names = getter.__reduce__()[1]
    found = tuple(_follow(tracer, args[0], name) for name in names)
    return found[0] if len(names) == 1 else found


def _follow(tracer: Tracer, value: Any, path: str) -> Any:
    for name in path.split("."):
        value = attributes.get(tracer, value, name)
    return value


def call_method_caller(tracer: Tracer, caller: Any, args: Args, kwargs: Kwargs) -> Any:
    """`operator.methodcaller(...)(x)`."""
    from tracegraph.capture.calls import call

    factory, parts = caller.__reduce__()
    keywords = factory.keywords if isinstance(factory, functools.partial) else {}
    name, *rest = (*factory.args, *parts) if isinstance(factory, functools.partial) else parts
    return call(tracer, attributes.get(tracer, args[0], name), tuple(rest), dict(keywords))


#: kinds of callables
BY_TYPE: dict[type, Callable[[Any, Any, Args, Kwargs], Any]] = {
    functools._lru_cache_wrapper: call_cached,
    operator.itemgetter: call_item_getter,
    operator.attrgetter: call_attribute_getter,
    operator.methodcaller: call_method_caller,
}


# ------------------------------------------------------------------------------------------ functions


def _call_dispatch(tracer: Tracer, function: types.FunctionType, args: Args, kwargs: Kwargs) -> Any:
    """The choice of `functools.singledispatch` for a class, from the registry as it is guarded."""
    source = tracer.source_of(function)
    position = function.__code__.co_freevars.index("registry")
    cell = (function.__closure__ or ())[position]
    if source is None:
        raise Break(reasons.NATIVE_CALL, "dispatch of a generic function made in the trace")
    cells = Item(Slot(source, "__closure__"), position)
    registry = tracer.read(cell.cell_contents, Contents(cells))
    chosen = tracer.native(function, *args)
    kind = next(k for k, implementation in cell.cell_contents.items() if implementation is chosen)
    return registry[kind]


def _call_expression(tracer: Tracer, function: types.FunctionType, args: Args, kwargs: Kwargs) -> Any:
    """A function of the re module on plain text."""
    if not all(_is_data(a) or isinstance(a, types.FunctionType) for a in (*args, *kwargs.values())):
        raise Break(reasons.NATIVE_CALL, f"re.{function.__name__}() of something other than text")
    args = tuple(CallableAdapter(tracer, a) if callable(a) else specialised(tracer, a) for a in args)
    kwargs = {k: CallableAdapter(tracer, a) if callable(a) else specialised(tracer, a) for k, a in kwargs.items()}
    return tracer.native(function, *args, **kwargs)


def thread_id(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Any) -> ThreadId:
    """`threading.get_ident()`."""
    return ThreadId()


def _generic(value: object) -> None:
    """A generic function, to find the code of the dispatch that all of them share."""


_DISPATCH: Any = functools.singledispatch(_generic).dispatch
_EXPRESSIONS = (re.match, re.fullmatch, re.search, re.sub, re.subn, re.split, re.findall, re.finditer, re.compile,
                re.escape)  # fmt: skip
#: Python functions, by their code
BY_CODE: dict[types.CodeType, Callable[[Any, Any, Args, Kwargs], Any]] = {
    _DISPATCH.__code__: _call_dispatch,
    **{f.__code__: _call_expression for f in _EXPRESSIONS},
}
#: builtin functions
BUILTINS = {_thread.get_ident: thread_id}
