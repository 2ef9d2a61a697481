"""Functions of the standard library with a meaning of their own in a trace, because their code cannot be followed.

Regular expressions, dispatch on types, getters: what each depends on is recorded here.
"""

from __future__ import annotations

import _thread
import enum
import functools
import inspect
import operator
import re
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.calls import caches
from tracegraph.capture.guards.sources import Contents, Item, Slot
from tracegraph.capture.objects import attributes, class_factories
from tracegraph.capture.protocols import containers
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.object_ids import ThreadId
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.texts import VaryingText
from tracegraph.capture.stack.values import is_constant, is_varying
from tracegraph.capture.trace.adapters import ValueAdapter
from tracegraph.capture.trace.safety import flatten, specialised

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


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
    from tracegraph.capture.calls.callables import call

    factory, parts = caller.__reduce__()
    keywords = factory.keywords if isinstance(factory, functools.partial) else {}
    name, *rest = (*factory.args, *parts) if isinstance(factory, functools.partial) else parts
    return call(tracer, attributes.get(tracer, args[0], name), tuple(rest), dict(keywords))


#: kinds of callables
BY_TYPE: dict[type, Callable[[Any, Any, Args, Kwargs], Any]] = {
    **caches.HANDLERS,
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
    if not all(_is_plain(a) or isinstance(a, types.FunctionType) for a in (*args, *kwargs.values())):
        raise Break(reasons.NATIVE_CALL, f"re.{function.__name__}() of something other than text")
    args = tuple(ValueAdapter(tracer, a) if callable(a) else specialised(tracer, a) for a in args)
    kwargs = {k: ValueAdapter(tracer, a) if callable(a) else specialised(tracer, a) for k, a in kwargs.items()}
    return tracer.native(function, *args, **kwargs)


def _call_signature(tracer: Tracer, function: types.FunctionType, args: Args, kwargs: Kwargs) -> Any:
    """`inspect.signature(f)`, `inspect.getfullargspec(f)`: what they look at is guarded, the answer is made once.

    Raises:
        Break: `f` is no function or method, or its defaults and annotations are no plain data.
    """
    if len(args) != 1 or kwargs:
        raise Break(reasons.NATIVE_CALL, f"inspect.{function.__name__}() with options")
    target = args[0]
    while True:
        target = target.__func__ if type(target) is types.MethodType else target
        if type(target) is not types.FunctionType or attributes.has(tracer, target, "__signature__"):
            kind = tracer.type_of(target).__name__
            raise Break(reasons.NATIVE_CALL, f"inspect.{function.__name__}() of an object of type {kind}")
        for name in ("__defaults__", "__kwdefaults__", "__annotations__"):
            parts = flatten(attributes.get(tracer, target, name))
            if not all(is_constant(p) or isinstance(p, type) for p in parts):
                raise Break(reasons.NATIVE_CALL, f"inspect.{function.__name__}() of {target.__qualname__}()")
        wrapped = attributes.find(tracer, target, "__wrapped__")
        if wrapped is MISSING:
            return tracer.fresh(tracer.native(function, args[0]))
        target = wrapped


def _call_copy_of_member(tracer: Tracer, function: types.FunctionType, args: Args, kwargs: Kwargs) -> Any:
    """`copy.copy` and `copy.deepcopy` of a member of an Enum: the member."""
    return args[0]


def thread_id(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Any) -> ThreadId:
    """`threading.get_ident()`."""
    return ThreadId()


def _is_plain(value: Any) -> bool:
    return is_constant(value) or is_varying(value) or isinstance(value, re.RegexFlag | VaryingText)


def _generic(value: object) -> None:
    """A generic function, to find the code of the dispatch that all of them share."""


_DISPATCH: Any = functools.singledispatch(_generic).dispatch
_EXPRESSIONS = (re.match, re.fullmatch, re.search, re.sub, re.subn, re.split, re.findall, re.finditer, re.compile,
                re.escape)  # fmt: skip
#: Python functions, by their code
BY_CODE: dict[types.CodeType, Callable[[Any, Any, Args, Kwargs], Any]] = {
    _DISPATCH.__code__: _call_dispatch,
    **{f.__code__: _call_expression for f in _EXPRESSIONS},
    **{vars(enum.Enum)[name].__code__: _call_copy_of_member for name in ("__copy__", "__deepcopy__")},
    **class_factories.BY_CODE,
    inspect.signature.__code__: _call_signature,
    inspect.getfullargspec.__code__: _call_signature,
}
#: builtin functions
BUILTINS = {_thread.get_ident: thread_id}
