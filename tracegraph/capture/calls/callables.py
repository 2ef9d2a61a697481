"""Calling any object symbolically: one entry per kind of callable.

Python functions are inlined, library operations run natively on tensor proxies (and so record themselves), builtins
have handlers or policies of their own, classes are instantiated step by step. Anything else breaks the graph.
"""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.calls import builtin_calls, directives, native_calls, questions, random_calls, weak_calls
from tracegraph.capture.calls.builtin_arguments import check_arguments
from tracegraph.capture.calls.pure_calls import call_on_data, is_method_of_data
from tracegraph.capture.calls.stdlib_calls import BY_CODE, BY_TYPE
from tracegraph.capture.calls.substitutes import substitute_of
from tracegraph.capture.guards.sources import Slot, object_text
from tracegraph.capture.objects import attributes, class_factories, modules
from tracegraph.capture.objects.attribute_writes import set_attribute
from tracegraph.capture.objects.members import are_members, call_member, look_up
from tracegraph.capture.protocols.descriptors import bind
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING, class_lookup
from tracegraph.capture.stack.values import STAND_INS, Observed, is_instance_of_python_class, is_python_class
from tracegraph.capture.tensors import control_flow, library_calls
from tracegraph.capture.tensors.arrays import compute as compute_array
from tracegraph.capture.tensors.arrays import is_pure as is_pure_numpy
from tracegraph.capture.trace.functions import inline
from tracegraph.capture.trace.replaced_methods import is_own, own_method
from tracegraph.capture.trace.safety import flatten, is_opaque, plain_number
from tracegraph.ir import Op
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.kinds import HigherOrder
from tracegraph.ops.random.generator import Generator

if TYPE_CHECKING:
    from tracegraph.capture.trace.frame import Frame
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def call(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs, frame: Frame | None = None) -> Any:
    """`function(*args, **kwargs)`.

    Args:
        frame: the calling frame, for the few builtins that look at it.

    Raises:
        Observed: the call raises.
        Break: it cannot be traced.
    """
    substitute = substitute_of(function)
    if substitute is not None:
        return inline(tracer, substitute, args, kwargs)
    handler = builtin_calls.lookup(function)
    if handler is not None:
        check_arguments(tracer, function, args, kwargs)
        return handler(tracer, builtin_calls.fit_for(tracer, function, args), kwargs, frame)
    if isinstance(function, HigherOrder):
        return control_flow.call_higher_order(tracer, function, args, kwargs)
    if isinstance(function, Op):
        return call_operation(tracer, function, args, kwargs)
    by_type = random_calls.call_method if random_calls.is_drawing(function) else _BY_TYPE.get(type(function))
    if by_type is not None:
        return by_type(tracer, function, args, kwargs)
    if isinstance(function, type):
        return call_class(tracer, function, args, kwargs)
    if is_instance_of_python_class(function):
        return _call_instance(tracer, function, args, kwargs)
    if not callable(function):
        raise Observed(TypeError(f"{tracer.type_of(function).__name__!r} object is not callable"))
    if type(function) in STAND_INS:
        return tracer.native(function, *args, **kwargs)
    return native_calls.call_native(tracer, function, args, kwargs)


# ------------------------------------------------------------------------------------------ operations


def call_operation(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    """Run a library operation on proxies: it records itself in the graph.

    Raises:
        Break: an argument is neither a tensor of the trace nor plain data.
    """
    args = tuple(plain_number(tracer, a) for a in args)
    kwargs = {k: plain_number(tracer, v) for k, v in kwargs.items()}
    for part in flatten((args, tuple(kwargs.values()))):
        is_known = type(part) is Generator or isinstance(part, int | str)
        if is_opaque(tracer, part) or (is_instance_of_python_class(part) and not is_known):
            name = object_text(function)
            raise Break(reasons.UNSUPPORTED_VALUE, f"{name}() with an argument of type {type(part).__name__}")
    return tracer.native(function, *args, **kwargs)


# ------------------------------------------------------------------------------------------ Python callables


def _call_function(tracer: Tracer, function: types.FunctionType, args: Args, kwargs: Kwargs) -> Any:
    if directives.is_operation(function):
        return call_operation(tracer, function, args, kwargs)
    if args and type(args[0]) is Traced and (is_own(function) or function in library_calls.METHODS):
        return _call_on_tensor(tracer, function, args[0], args[1:], kwargs)
    directives.refuse_disabled(function)
    if directives.has_constant_result(function):
        return directives.call_for_constant(tracer, function, args, kwargs)
    library = library_calls.HANDLERS.get(function) or directives.HANDLERS.get(function)
    if library is not None:
        return library(tracer, *args, **kwargs)
    shortcut = modules.METHODS.get(function)
    if shortcut is not None:
        result = shortcut(tracer, *args, **kwargs)
        if result is not NotImplemented:
            return result
    own = questions.BY_FUNCTION.get(function) or weak_calls.BY_FUNCTION.get(function) or BY_CODE.get(function.__code__)
    if own is not None:
        return own(tracer, function, args, kwargs)
    if function.__module__ == "enum" and are_members(args, kwargs):
        return call_member(tracer, function, args, kwargs)
    if is_pure_numpy(function):
        return compute_array(tracer, function, args, kwargs)
    if not native_calls.may_inline(function):
        stop = native_calls.refused(function, function.__module__)
        stop.is_inside_callee = native_calls.calls_back(function)
        raise stop
    return inline(tracer, function, args, kwargs)


def _call_method(tracer: Tracer, method: types.MethodType, args: Args, kwargs: Kwargs) -> Any:
    function, instance = attributes.method_parts(tracer, method)
    if is_method_of_data(function, instance):
        return call_on_data(method)(tracer, args, kwargs, None)
    if type(instance) in STAND_INS:
        if function in library_calls.METHODS:
            return library_calls.METHODS[function](tracer, instance, *args, **kwargs)
        if type(instance) is Traced:
            return _call_on_tensor(tracer, function, instance, args, kwargs)
        return call_operation(tracer, types.MethodType(function, instance), args, kwargs)
    return call(tracer, function, (instance, *args), kwargs)


def _call_on_tensor(tracer: Tracer, function: Any, tensor: Traced, args: Args, kwargs: Kwargs) -> Any:
    """A method of a tensor: the library's, or a function that the program has put into the class or bound itself."""
    if function in library_calls.METHODS:
        return library_calls.METHODS[function](tracer, tensor, *args, **kwargs)
    if is_own(function):
        return call_operation(tracer, own_method(function, tensor), args, kwargs)
    if isinstance(function, types.FunctionType) and not directives.is_operation(function):
        return call(tracer, function, (tensor, *args), kwargs)
    return call_operation(tracer, types.MethodType(function, tensor), args, kwargs)


def _call_partial(tracer: Tracer, partial: Any, args: Args, kwargs: Kwargs) -> Any:
    source = tracer.source_of(partial)

    def part(name: str) -> Any:
        value = getattr(partial, name)
        return tracer.read(value, Slot(source, name)) if source is not None else value

    return call(tracer, part("func"), (*part("args"), *args), {**part("keywords"), **kwargs})


def _call_instance(tracer: Tracer, instance: Any, args: Args, kwargs: Kwargs) -> Any:
    if getattr(type(instance), "__tracegraph_compiled__", False):
        # a compiled callable inside a trace is just its original
        return call(tracer, attributes.get(tracer, instance, "_tracegraph_original"), args, kwargs)
    method = attributes.get_special(tracer, instance, "__call__")
    if method is MISSING:
        raise Observed(TypeError(f"{type(instance).__name__!r} object is not callable"))
    return call(tracer, method, args, kwargs)


def _call_alias(tracer: Tracer, alias: Any, args: Args, kwargs: Kwargs) -> Any:
    """`list[int](...)`: an instance of the class, which is told what it was made by if it has room for that."""
    made = call(tracer, alias.__origin__, args, kwargs)
    if is_instance_of_python_class(made):
        try:
            set_attribute(tracer, made, "__orig_class__", alias)
        except Observed as observed:
            if not isinstance(observed.exception, AttributeError | TypeError):
                raise
    return made


_BY_TYPE: dict[type, Callable[[Any, Any, Args, Kwargs], Any]] = {
    types.FunctionType: _call_function,
    types.MethodType: _call_method,
    functools.partial: _call_partial,
    types.GenericAlias: _call_alias,
    **BY_TYPE,
    **questions.BY_TYPE,
}


# ------------------------------------------------------------------------------------------ classes


def call_class(tracer: Tracer, cls: type, args: Args, kwargs: Kwargs) -> Any:
    """Instantiate a class, as its metaclass has it."""
    if not is_python_class(cls) or native_calls.is_holding(cls):
        return native_calls.call_native(tracer, cls, args, kwargs)
    if cls in library_calls.CLASSES:
        return library_calls.CLASSES[cls](tracer, *args, **kwargs)
    if getattr(cls, "__tracegraph_tensor__", False) is True:
        raise Break(reasons.NATIVE_CALL, f"a new {cls.__name__}")
    tracer.note_metaclass(cls)
    meta_call = tracer.class_entry(type(cls), "__call__")
    if meta_call is not type.__call__:
        return _call_metaclass(tracer, cls, meta_call, args, kwargs)
    return instantiate(tracer, cls, args, kwargs)


def instantiate(tracer: Tracer, cls: type, args: Args, kwargs: Kwargs) -> Any:
    """`type.__call__(cls, ...)`: `__new__`, then `__init__`."""
    if tracer.class_entry(cls, "__del__") is not MISSING:
        raise Break(reasons.NATIVE_CALL, f"a new {cls.__name__}, which has a finalizer")
    instance = _allocate(tracer, cls, args, kwargs)
    if isinstance(instance, cls):
        _initialize(tracer, cls, instance, args, kwargs)
    return instance


def _call_metaclass(tracer: Tracer, cls: type, meta_call: Any, args: Args, kwargs: Kwargs) -> Any:
    if issubclass(cls, enum.Enum):
        if class_factories.is_enum_factory(cls, args):
            return class_factories.call_enum_factory(tracer, cls, args, kwargs)
        if len(args) != 1 or kwargs:
            raise Break(reasons.NATIVE_CALL, f"an Enum made or looked up by {cls.__name__}()")
        return look_up(tracer, cls, args[0])
    return call(tracer, bind(tracer, meta_call, cls, type(cls), "__call__"), args, kwargs)


def _allocate(tracer: Tracer, cls: type, args: Args, kwargs: Kwargs) -> Any:
    raw = tracer.class_entry(cls, "__new__")
    if isinstance(raw, staticmethod):
        return call(tracer, bind(tracer, raw, None, cls, "__new__"), (cls, *args), kwargs)
    if isinstance(raw, types.FunctionType):
        return call(tracer, raw, (cls, *args), kwargs)
    if class_lookup(cls, "__new__") is not object.__dict__["__new__"]:
        return native_calls.construct(tracer, cls, args, kwargs)
    takes_arguments = tracer.class_entry(cls, "__init__") is not object.__init__
    if (args or kwargs) and not takes_arguments:
        raise Observed(TypeError(f"{cls.__name__}() takes no arguments"))
    return tracer.fresh(tracer.native(object.__new__, cls))


def _initialize(tracer: Tracer, cls: type, instance: Any, args: Args, kwargs: Kwargs) -> None:
    raw = tracer.class_entry(type(instance), "__init__")
    if raw is object.__init__:
        return
    if isinstance(raw, types.WrapperDescriptorType):
        native_calls.call_native(tracer, raw.__get__(instance, cls), args, kwargs)
        return
    answer = call(tracer, bind(tracer, raw, instance, cls, "__init__"), args, kwargs)
    if answer is not None:
        raise Observed(TypeError(f"__init__() should return None, not {tracer.type_of(answer).__name__!r}"))
