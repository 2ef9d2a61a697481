"""Builtin functions with a symbolic meaning of their own: one handler each."""

from __future__ import annotations

import bisect
import builtins
import collections
import copy
import dataclasses
import functools
import heapq
import inspect
import itertools
import math
import operator
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.calls import pure_calls, questions, random_calls, scope_calls, stdlib_calls, text_calls
from tracegraph.capture.calls.scope_calls import refuse_frame_access
from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.objects import attribute_writes, attributes, class_statements, type_checks
from tracegraph.capture.objects.lazy_modules import note_look
from tracegraph.capture.protocols import containers, conversions, iteration, operators, special_methods
from tracegraph.capture.protocols.ordering import sort_items
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.object_ids import ObjectId
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.texts import VaryingText
from tracegraph.capture.stack.values import (
    SEQUENCES,
    Observed,
    is_constant,
    is_instance_of_python_class,
    is_number,
    is_of_python,
    is_tensor,
    is_varying,
)
from tracegraph.capture.trace import heaps, polyfills
from tracegraph.capture.trace.keys import hash_of
from tracegraph.capture.trace.safety import flatten, is_opaque, specialised
from tracegraph.ir import SymExpr
from tracegraph.ops.core.sym_float import SymFloat
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.frame import Frame
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Handler = Callable[["Tracer", Args, Kwargs, "Frame | None"], Any]


def lookup(function: Any) -> Handler | None:
    """The handler of a callable, if it has one."""
    return _HANDLERS.get(id(function))


#: builtins that take a text without looking at it, or make another text of it
_KEEPING_TEXT = frozenset(map(id, (str, repr, format, type, isinstance, id)))


def fit_for(tracer: Tracer, function: Any, args: Args) -> Args:
    """Arguments of a builtin: texts that vary become plain where it looks at them."""
    if id(function) in _KEEPING_TEXT and len(args) < 3:  # type() of three makes a class
        return args
    return tuple(specialised(tracer, a) if type(a) is VaryingText else a for a in args)


# ------------------------------------------------------------------------------------------ types


def _call_type(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    if len(args) == 3:
        return class_statements.make_class(tracer, args[0], args[1], args[2], kwargs)
    if len(args) != 1:
        raise Observed(TypeError("type() takes 1 or 3 arguments"))
    note_look(tracer, args[0])
    return tracer.type_of(args[0])


def _call_build_class(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    body, name, *bases = args
    return class_statements.build_class(tracer, body, name, tuple(bases), kwargs)


def _call_process_dataclass(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    """`@dataclass` on a class that the trace made: it generates code, and looks at nothing else."""
    if not tracer.is_fresh(args[0]):
        raise Break(reasons.NATIVE_CALL, f"a dataclass made of {args[0].__name__}")
    return tracer.fresh(tracer.native(_PROCESS_DATACLASS, *args, **kwargs))


_PROCESS_DATACLASS = vars(dataclasses)["_process_class"]


def _call_super(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    if args or frame is None:
        return tracer.native(super, *args)
    from tracegraph.capture.opcodes.names import cell_value

    if not frame.code.co_argcount and not frame.code.co_flags & inspect.CO_VARARGS:
        raise Observed(RuntimeError("super(): no arguments"))
    if "__class__" not in frame.slots:
        raise Observed(RuntimeError("super(): __class__ cell not found"))
    cls = cell_value(frame, "__class__")
    first = frame.code.co_varnames[0]
    instance = cell_value(frame, first) if first in frame.code.co_cellvars else frame.local(first)
    return tracer.native(super, cls, instance)


def _call_callable(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> bool:
    (value,) = args
    if is_instance_of_python_class(value):
        return tracer.class_entry(type(value), "__call__") is not MISSING
    return callable(value)


# ------------------------------------------------------------------------------------------ attributes


def _call_getattr(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    try:
        return attributes.get(tracer, args[0], args[1])
    except Observed as observed:
        if len(args) == 3 and isinstance(observed.exception, AttributeError):
            return args[2]
        raise


def _call_hasattr(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> bool:
    return attributes.has(tracer, *args)


def _call_setattr(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> None:
    attribute_writes.set_attribute(tracer, *args)


def _call_delattr(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> None:
    attribute_writes.delete_attribute(tracer, *args)


def _call_object_setattr(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> None:
    attribute_writes.generic_set(tracer, *args)


def _call_object_delattr(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> None:
    attribute_writes.generic_delete(tracer, *args)


def _call_object_getattribute(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    return attributes.generic_get(tracer, *args)


def _call_object_new(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    return tracer.fresh(tracer.native(object.__new__, args[0]))


# ------------------------------------------------------------------------------------------ sequences


def _call_len(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    (value,) = args
    return special_methods.length(tracer, value)


def _call_iter(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    if len(args) == 2:
        return _inline(tracer, polyfills.iterate_until, args, {})
    return iteration.iterate(tracer, args[0])


def _inline(tracer: Tracer, polyfill: Any, args: Args, kwargs: Kwargs) -> Any:
    from tracegraph.capture.trace.functions import inline

    return inline(tracer, polyfill, args, kwargs)


def _always(polyfill: Any) -> Handler:
    """Inline a Python version in place of a builtin."""
    return lambda tracer, args, kwargs, frame: _inline(tracer, polyfill, args, kwargs)


def _on_list(builtin: Any, polyfill: Any) -> Handler:
    """Inline a Python version of a builtin that refuses all but lists."""

    def handle(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
        if not isinstance(args[0], list):
            return _native(tracer, builtin, args, kwargs)
        return _inline(tracer, polyfill, args, kwargs)

    return handle


def _call_reversed(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    return iteration.backwards(tracer, args[0])


def _call_next(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    try:
        return iteration.advance(tracer, args[0])
    except Observed as observed:
        if len(args) == 2 and isinstance(observed.exception, StopIteration):
            return args[1]
        raise


def _call_bool(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> bool:
    return special_methods.truth(tracer, args[0]) if args else False


def _call_int(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    if len(args) == 1 and is_varying(args[0]):
        return args[0] if type(args[0]) is SymExpr else tracer.native(tracer.numbers.compute, int, *args)
    return _native(tracer, int, args, kwargs)


def _call_float(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    if len(args) == 1 and is_varying(args[0]):
        return args[0] if type(args[0]) is SymFloat else tracer.native(tracer.numbers.compute, float, *args)
    return _native(tracer, float, args, kwargs)


def _with_polyfill(builtin: Any, polyfill: Any) -> Handler:
    """Run `builtin` natively on simple items, else inline a Python version that honours special methods."""

    def handle(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
        if all(type(a) in SEQUENCES for a in args[:1]) and not kwargs and _is_simple(tracer, args):
            return tracer.native(builtin, *args)
        return _inline(tracer, polyfill, args, kwargs)

    return handle


def _call_sum(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    """`sum`: of floats that vary it is computed by each call, as the builtin rounds it."""
    items = [*args[0], *args[1:]] if type(args[0]) in SEQUENCES and not kwargs else []
    is_of_ints = all(type(v) in (int, SymExpr) for v in items)
    if any(map(is_varying, items)) and all(map(is_number, items)) and not is_of_ints:
        return tracer.native(tracer.numbers.compute, _sum_from if args[1:] else _sum_of, *items)
    return _with_polyfill(sum, polyfills.sum_)(tracer, args, kwargs, frame)


def _sum_of(*numbers: Any) -> Any:
    return sum(numbers)


def _sum_from(*numbers: Any) -> Any:
    """The last is where to start."""
    return sum(numbers[:-1], numbers[-1])


def _extremum(builtin: Any, polyfill: Any) -> Handler:
    """`min` or `max`: of numbers that vary it is one that varies."""
    handle = _with_polyfill(builtin, polyfill)

    def choose(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
        varies = any(map(is_varying, flatten(args)))
        return _inline(tracer, polyfill, args, kwargs) if varies else handle(tracer, args, kwargs, frame)

    return choose


def _step_of(builtin: Any, polyfill: Any) -> Handler:
    """The choice between the best number so far and the next."""

    def handle(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
        if any(map(is_varying, args)) and all(map(is_number, args)):
            return tracer.native(tracer.numbers.extremum, builtin, *args)
        return _inline(tracer, polyfill, args, kwargs)

    return handle


def _is_simple(tracer: Tracer, value: Any) -> bool:
    return not any(is_instance_of_python_class(p) or is_opaque(tracer, p) for p in flatten(value))


def _call_sorted(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> list[Any]:
    items = iteration.listed(tracer, args[0])
    sort_items(tracer, items, **kwargs)
    return items


def _binary(symbol: str) -> Handler:
    return lambda tracer, args, kwargs, frame: operators.binary(tracer, symbol, *args)


def _comparison(symbol: str) -> Handler:
    return lambda tracer, args, kwargs, frame: operators.compare(tracer, symbol, *args)


def _call_pow(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    if not any(map(is_instance_of_python_class, args)):
        return _native(tracer, pow, args, kwargs)
    return conversions.power(tracer, *args)


def _call_divmod(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    result = conversions.divide(tracer, *args) if any(map(is_instance_of_python_class, args)) else NotImplemented
    if result is NotImplemented and any(map(is_instance_of_python_class, args)) and len(args) == 2:
        left, right = (tracer.type_of(a).__name__ for a in args)
        raise Observed(TypeError(f"unsupported operand type(s) for divmod(): {left!r} and {right!r}"))
    return _native(tracer, divmod, args, kwargs) if result is NotImplemented else result


def _call_length_hint(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    if not is_instance_of_python_class(args[0]):
        return _native(tracer, operator.length_hint, args, kwargs)
    answer = special_methods.special(tracer, args[0], "__len__")
    hint = special_methods.special(tracer, args[0], "__length_hint__") if answer is NotImplemented else answer
    return (args[1] if len(args) > 1 else 0) if hint is NotImplemented else hint


def _call_getitem(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    return containers.subscript(tracer, *args)


# ------------------------------------------------------------------------------------------ refusals


def _call_exception(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    """The exception that the trace is handling."""
    handled = tracer.handled_exception()
    if handled is None and frame is not None and frame.namespace.get("__name__") != "contextlib":
        # it might be one that the caller handles; contextlib only asks to tell contexts apart
        if sys.exception() is not None:
            return refuse_frame_access(tracer, args, kwargs, frame)
        return questions.ask(tracer, sys.exception, (), {})
    return handled


def _call_exc_info(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    handled = _call_exception(tracer, args, kwargs, frame)
    return (None, None, None) if handled is None else (type(handled), handled, handled.__traceback__)


def _refuse_side_effect(name: str) -> Handler:
    def refuse(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
        raise Break(reasons.SIDE_EFFECT_CALL, f"{name}()")

    return refuse


# ------------------------------------------------------------------------------------------ identity


def _call_id(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    """The id of an outside object, whose identity the guards then fix; of others a number known later."""
    (value,) = args
    if _is_key_of_copies(tracer, frame):
        tracer.note_identified(value)
        return ObjectId(value)
    if is_tensor(value):
        graph_input = tracer.input_of(value)
        if graph_input is not None:
            tracer.guards.add(GuardKind.IDENTITY, graph_input.source, graph_input.tensor)
            return id(graph_input.tensor)
    elif is_instance_of_python_class(value) and tracer.is_outside(value):
        tracer.pin(value)
        return id(value)
    tracer.note_identified(value)
    return ObjectId(value)


def _is_key_of_copies(tracer: Tracer, frame: Frame | None) -> bool:
    """Whether the copy module asks, to look into the memo of a copy that began in the trace."""
    if frame is None or frame.namespace is not vars(copy):
        return False
    return not tracer.is_outside(frame.slots.get("memo"))


def _call_hash(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    value = specialised(tracer, args[0])
    if is_constant(value):
        return tracer.native(hash, value)
    if is_tensor(value) or (is_instance_of_python_class(value) and _hashes_identity(tracer, value)):
        raise Break(reasons.NATIVE_CALL, f"hash() of an object of type {tracer.type_of(value).__name__}")
    return hash_of(tracer, value)


def _hashes_identity(tracer: Tracer, value: Any) -> bool:
    """Whether the hash of an object made by the trace is its address, which the next call does not share."""
    method = tracer.class_entry(type(value), "__hash__")
    return getattr(method, "__objclass__", None) is object and not tracer.is_outside(value)


def _native(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    from tracegraph.capture.calls.native_calls import call_native

    if any(type(a) is Traced for a in args):
        return tracer.native(function, *args, **kwargs)
    return call_native(tracer, function, args, kwargs)


_HEAP_FUNCTIONS = [
    vars(heapq)[name]
    for name in ("heappush", "heappop", "heapreplace", "heappushpop", "heapify", "_heappop_max", "_heapreplace_max",
                 "_heapify_max")
]  # fmt: skip
_BISECTIONS = ("bisect_left", "bisect_right", "insort_left", "insort_right")
_TABLE: dict[Any, Handler] = {
    isinstance: type_checks.call_isinstance,
    issubclass: type_checks.call_issubclass,
    type: _call_type,
    super: _call_super,
    callable: _call_callable,
    getattr: _call_getattr,
    hasattr: _call_hasattr,
    setattr: _call_setattr,
    delattr: _call_delattr,
    object.__setattr__: _call_object_setattr,
    object.__delattr__: _call_object_delattr,
    object.__getattribute__: _call_object_getattribute,
    object.__new__: _call_object_new,
    len: _call_len,
    iter: _call_iter,
    next: _call_next,
    bool: _call_bool,
    int: _call_int,
    float: _call_float,
    sum: _call_sum,
    math.prod: _with_polyfill(math.prod, polyfills.prod_),
    min: _extremum(min, polyfills.min_),
    max: _extremum(max, polyfills.max_),
    polyfills.lesser: _step_of(min, polyfills.lesser),
    polyfills.greater: _step_of(max, polyfills.greater),
    any: _with_polyfill(any, polyfills.any_),
    all: _with_polyfill(all, polyfills.all_),
    functools.reduce: _with_polyfill(functools.reduce, polyfills.reduce_),
    builtins.__build_class__: _call_build_class,
    _PROCESS_DATACLASS: _call_process_dataclass,
    sorted: _call_sorted,
    reversed: _call_reversed,
    itertools.tee: _always(polyfills.tee_),
    collections._count_elements: _always(polyfills.count_elements),  # type: ignore[attr-defined]
    **{f: _on_list(f, getattr(heaps, f.__name__.lstrip("_"))) for f in _HEAP_FUNCTIONS},
    **{getattr(bisect, name): _always(getattr(heaps, name)) for name in _BISECTIONS},
    pow: _call_pow,
    divmod: _call_divmod,
    operator.getitem: _call_getitem,
    operator.length_hint: _call_length_hint,
    operator.contains: lambda tracer, args, kwargs, frame: containers.contains(tracer, *args),
    operator.not_: lambda tracer, args, kwargs, frame: not special_methods.truth(tracer, *args),
    operator.is_: lambda tracer, args, kwargs, frame: operators.identical(tracer, *args),
    operator.is_not: lambda tracer, args, kwargs, frame: not operators.identical(tracer, *args),
    operator.truth: _call_bool,
    **{function: _binary(symbol) for function, symbol in operators.BINARY_FUNCTIONS.items()},
    **{function: _comparison(symbol) for function, symbol in operators.COMPARISONS.items()},
    **text_calls.HANDLERS,
    **stdlib_calls.BUILTINS,
    **questions.BUILTINS,
    **pure_calls.HANDLERS,
    **scope_calls.HANDLERS,
    **random_calls.HANDLERS,
    functools.cmp_to_key: _always(polyfills.comparison_key),
    hash: _call_hash,
    sys.exc_info: _call_exc_info,
    sys.exception: _call_exception,
    id: _call_id,
    **dict.fromkeys((eval, exec, sys._getframe), refuse_frame_access),
    **{f: _refuse_side_effect(f.__name__) for f in (print, input, open, builtins.__import__, breakpoint)},
}
_HANDLERS: dict[int, Handler] = {
    id(function): handler for function, handler in _TABLE.items() if is_of_python(function)
}
