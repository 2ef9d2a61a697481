"""Functions written in C: which ones may run during a trace, and on what.

A C function may run natively if it only looks at what the trace owns. Three properties decide: whether it iterates
its arguments, whether it calls functions given to it, and whether it looks into elements (compares, hashes, adds,
prints them). A function that is in no table breaks the graph.
"""

from __future__ import annotations

import collections
import contextvars
import decimal
import enum
import functools
import itertools
import operator
import re
import types
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.calls.container_calls import call_container, hashable_items
from tracegraph.capture.calls.iterating_classes import call_iterating, is_iterating
from tracegraph.capture.calls.native_arguments import adapted_argument, for_c, known, refuse_objects
from tracegraph.capture.calls.pure_calls import is_pure, keeps_symbols
from tracegraph.capture.calls.questions import ask_variable, make_reference
from tracegraph.capture.protocols.conversions import convert
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.texts import formatted
from tracegraph.capture.stack.values import (
    CONSTANT_TYPES,
    CONTAINER_TYPES,
    DICT_VIEW_TYPES,
    NUMPY_NUMBERS,
    STAND_INS,
    TUPLES,
    Observed,
    is_constant,
    is_instance_of_python_class,
    is_number,
    is_varying,
    native_base,
)
from tracegraph.capture.tensors import arrays
from tracegraph.capture.trace import copying, polyfills
from tracegraph.capture.trace.adapters import ValueAdapter
from tracegraph.capture.trace.decimals import note_decimals
from tracegraph.capture.trace.functions import inline
from tracegraph.capture.trace.instance_dicts import InstanceDict
from tracegraph.capture.trace.safety import is_followed, is_opaque, plain_data, stringable, with_values
from tracegraph.ir import SymExpr

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

#: class methods of C classes in Python
_CLASS_METHODS: dict[tuple[Any, str], Any] = {(itertools.chain, "from_iterable"): polyfills.chain_from_iterable}
#: classes of immutable data, made from immutable data
_VALUE_CLASSES: frozenset[Any] = frozenset({
    int, float, bool, complex, bytes, range, slice, object, bytearray,
    operator.itemgetter, operator.attrgetter, operator.methodcaller,
}) | CONSTANT_TYPES  # fmt: skip
#: classes whose instances only hold what they are given
_HOLDING_CLASSES: frozenset[Any] = frozenset({
    functools.partial, types.MethodType, property, staticmethod, classmethod, super, functools.cached_property,
    enum.auto,
})  # fmt: skip
#: Python modules that are called as they are: they act on the world, or on the interpreter
_NOT_INLINED = frozenset({
    "logging", "warnings", "threading", "random", "time", "os", "sys", "traceback", "importlib", "io",
    "subprocess", "socket", "asyncio", "multiprocessing", "concurrent", "unittest", "pytest", "_pytest", "numpy",
    "weakref", "_weakrefset", "gc", "ctypes", "pickle", "tempfile", "pathlib", "shutil", "datetime", "json", "re",
    "dis", "ast", "tokenize", "linecache", "builtins", "copyreg", "enum", "llvmlite", "networkx", "secrets", "uuid",
    "signal", "rich", "tqdm", "matplotlib", "sklearn", "scipy", "hypothesis", "atexit", "locale", "decimal",
    "fractions",
})  # fmt: skip
#: Python modules that run as they are once they break a graph: they call themselves for every object, of any kind
_WALKING = frozenset({"copy"})
#: modules whose functions act on the outside world, or ask it for what differs from call to call
_ACTING = frozenset({
    "logging", "warnings", "_warnings", "random", "_random", "time", "io", "_io", "os", "posix", "nt", "subprocess",
    "socket", "tempfile", "shutil", "secrets", "signal", "_signal", "atexit", "pathlib",
})  # fmt: skip
#: the parts of this library that are ordinary Python
_INLINED_LIBRARY = (
    "tracegraph.nn",
    "tracegraph.optim",
    "tracegraph.amp",
    "tracegraph.distributions",
    "tracegraph.backends",
    "tracegraph.autograd.checkpoint",
    "tracegraph.autograd.function",
    "tracegraph.func",
    "tracegraph.jit",
    "tracegraph.profiler",
    "tracegraph.pytree",
    "tracegraph.random",
    "tracegraph.tensor.assertions",
    "tracegraph.autograd.grad_mode",
    "tracegraph.ops.core.size",
    "tracegraph.ops.neural.recurrent",
    "tracegraph.tensor.cuda",
    "tracegraph.tensor.hooks",
    "tracegraph.tensor.linalg",
    "tracegraph.tensor.special",
    "tracegraph.autograd.variable",
    "tracegraph.tensor.matmul_precision",
    "tracegraph.tensor.questions",
    "tracegraph.tensor.typed",
    "tracegraph.tensor.determinism",
    "tracegraph.capture.trace.polyfills",
    "tracegraph.capture.trace.heaps",
)

#: of those, what asks for elements at every turn; only the functions that it is given are worth compiling
_CALLING_BACK = ("tracegraph.optim.lbfgs",)
#: and what changes objects in ways that cannot be followed
_EXCEPTED_LIBRARY = ("tracegraph.nn.lazy", *_CALLING_BACK)


def may_inline(function: types.FunctionType) -> bool:
    """Whether a Python function is traced into, judged by its module."""
    top = (function.__globals__.get("__name__") or "").partition(".")[0]
    return is_library_code(function) if top == "tracegraph" else top not in _NOT_INLINED


def is_library_code(function: types.FunctionType) -> bool:
    """Whether a function is of a part of this library that is traced into."""
    module = function.__globals__.get("__name__") or ""
    is_listed = any(f"{module}.".startswith(f"{part}.") for part in _INLINED_LIBRARY)
    return is_listed and module not in _EXCEPTED_LIBRARY


def is_worth_compiling(function: types.FunctionType) -> bool:
    """Whether a Python function that broke the graph of its caller is to be compiled on its own."""
    return may_inline(function) and function.__globals__.get("__name__") not in _WALKING


def calls_back(function: types.FunctionType) -> bool:
    """Whether the functions among the arguments of a function that is not traced into are to be compiled."""
    return function.__globals__.get("__name__") in _CALLING_BACK


def refused(function: Any, module: str | None, detail: str = "") -> Break:
    """The break at a call of a function of `module` that is neither followed nor in a table."""
    is_acting = (module or "").partition(".")[0] in _ACTING
    name = getattr(function, "__qualname__", None) or type(function).__name__
    what = f"{module or 'builtins'}.{name}(){detail}"
    return Break(reasons.SIDE_EFFECT_CALL if is_acting else reasons.NATIVE_CALL, what)


def is_holding(cls: type) -> bool:
    """Whether instances of `cls` only hold what they are given."""
    return cls in _HOLDING_CLASSES


def call_native(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    """Call a C function, method or class.

    Raises:
        Break: it is in no table, or an argument is not fit for it.
    """
    if isinstance(function, type):
        result = _call_class(tracer, function, args, kwargs)
    else:
        owner = getattr(function, "__self__", None)
        if owner is None or isinstance(owner, types.ModuleType):
            result = _call_function(tracer, function, args, kwargs)
        else:
            result = _call_bound(tracer, function, owner, args, kwargs)
    return _noted(tracer, result)


def _noted(tracer: Tracer, result: Any) -> Any:
    """Remember when an object was made that may turn out not to be reconstructible."""
    is_plain = type(result) in CONTAINER_TYPES or type(result) in STAND_INS or is_constant(result)
    if not is_plain and not tracer.is_outside(result) and not tracer.is_fresh(result):
        tracer.fresh(result)
    return result


def _call_class(tracer: Tracer, cls: type, args: Args, kwargs: Kwargs) -> Any:
    if is_iterating(cls):
        return call_iterating(tracer, cls, args, kwargs)
    if cls in _VALUE_CLASSES:
        if cls is decimal.Decimal:
            note_decimals(tracer)
        is_settled, args = convert(tracer, cls, args)
        if is_settled:
            return args
        if cls in NUMPY_NUMBERS and len(args) == 1 and is_varying(args[0]) and not kwargs:
            return _computed(tracer, cls, args)
        refuse_objects(tracer, cls, args, kwargs)
        return tracer.native(cls, *known(tracer, args), **kwargs)
    if cls is np.dtype or cls is np.ndarray:
        return arrays.compute(tracer, cls, args, kwargs)
    is_view_of_dict = cls is types.MappingProxyType and type(args[0]) in CONTAINER_TYPES
    if cls in _HOLDING_CLASSES or is_view_of_dict:
        return tracer.native(cls, *args, **kwargs)
    if cls is weakref.ReferenceType:
        return make_reference(tracer, cls, args, kwargs)
    if issubclass(cls, BaseException):
        return tracer.fresh(tracer.native(cls, *args))
    raise Break(reasons.NATIVE_CALL, f"{cls.__name__}()")


def _call_function(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    if arrays.is_pure(function):
        return arrays.compute(tracer, function, args, kwargs)
    is_method = isinstance(function, types.WrapperDescriptorType | types.MethodDescriptorType)
    if is_method and args and not is_pure(function):
        # an unbound method: str.upper(s), list.append(xs, x)
        if isinstance(args[0], InstanceDict) and function.__objclass__ in (dict, types.MappingProxyType):
            return call_native(tracer, tracer.native(getattr, args[0], function.__name__), args[1:], kwargs)
        return call_native(tracer, tracer.native(function.__get__, args[0], type(args[0])), args[1:], kwargs)
    if not is_pure(function):
        raise refused(function, getattr(function, "__module__", None))
    is_settled, args = convert(tracer, function, args)
    if is_settled:
        return args
    refuse_objects(tracer, function, args, kwargs)
    if any(map(is_varying, args)) and all(map(is_number, args)) and not kwargs:
        is_polynomial = keeps_symbols(function) and all(type(a) in (int, SymExpr) for a in args)
        return tracer.native(function, *args) if is_polynomial else _computed(tracer, function, args)
    if not keeps_symbols(function):
        args = known(tracer, args)
    return tracer.native(function, *args, **kwargs)


def _computed(tracer: Tracer, function: Any, args: Args) -> Any:
    """A pure function of numbers that vary, computed by each call."""
    return tracer.native(tracer.numbers.compute, function, *args)


def _call_bound(tracer: Tracer, method: Any, owner: Any, args: Args, kwargs: Kwargs) -> Any:
    name = method.__name__
    if isinstance(owner, type):
        return _call_class_method(tracer, method, owner, args, kwargs)
    is_made_property = type(owner) is property and not tracer.is_outside(owner)
    if is_made_property or (isinstance(owner, types.FunctionType) and name == "__get__"):
        return tracer.native(method, *args)  # of a property: the same with another getter, setter or deleter
    if isinstance(owner, np.ndarray):
        return arrays.compute(tracer, method, args, kwargs)
    if type(owner) is contextvars.ContextVar:
        return ask_variable(tracer, method, args, kwargs)
    if is_opaque(tracer, owner) or (tracer.is_outside(method) and not is_constant(owner)):
        raise refused(method, type(owner).__module__)
    if is_instance_of_python_class(owner):
        return _call_inherited(tracer, method, owner, args, kwargs)
    if type(owner) in (str, bytes):
        return _call_text(tracer, method, owner, args, kwargs)
    if isinstance(owner, re.Pattern) and name in ("sub", "subn"):
        args = tuple(ValueAdapter(tracer, a) if callable(a) else a for a in args)
    if isinstance(owner, BaseException) and name in ("add_note", "with_traceback") and not tracer.is_outside(owner):
        return tracer.native(method, *stringable(tracer, args))
    is_own_iterator = name == "__next__" and not tracer.is_outside(owner)
    if is_constant(owner):
        refuse_objects(tracer, method, args, kwargs)
    if is_constant(owner) or type(owner) in STAND_INS or is_own_iterator:
        return tracer.native(method, *known(tracer, args), **kwargs)
    if type(owner) in CONTAINER_TYPES or isinstance(owner, DICT_VIEW_TYPES):
        return call_container(tracer, method, owner, args, kwargs)
    raise Break(reasons.NATIVE_CALL, f"{type(owner).__name__}.{name}()")


def _call_class_method(tracer: Tracer, method: Any, owner: Any, args: Args, kwargs: Kwargs) -> Any:
    """A C method bound to a class."""
    name = method.__name__
    if name == "__new__" and args and isinstance(args[0], type):
        return construct(tracer, args[0], args[1:], kwargs)
    if name == "__call__" and method == type.__call__.__get__(owner):
        from tracegraph.capture.calls.callables import instantiate

        return instantiate(tracer, owner, args, kwargs)
    if name == "__getattribute__" and method == type.__getattribute__.__get__(owner):
        from tracegraph.capture.objects.attributes import class_get

        return class_get(tracer, owner, *args)
    if (owner, name) in _CLASS_METHODS:
        return inline(tracer, _CLASS_METHODS[owner, name], args, kwargs)
    if name == "fromkeys" and owner in (dict, collections.OrderedDict):
        keys = hashable_items(tracer, {}, (adapted_argument(tracer, args[0]),))
        return tracer.native(method, *keys, *args[1:])
    if owner in (str, bytes, int, float, bytearray):
        refuse_objects(tracer, method, args, kwargs)
        return tracer.native(method, *for_c(tracer, args), **kwargs)
    if name == "__init_subclass__" and not args and not kwargs:
        return None
    raise Break(reasons.NATIVE_CALL, f"{owner.__name__}.{name}()")


def _call_text(tracer: Tracer, method: Any, owner: Any, args: Args, kwargs: Kwargs) -> Any:
    """A method of text or bytes."""
    name = method.__name__
    if type(owner) is str and name == "format" and not kwargs and tracer.numbers.are_printed(args):
        return tracer.native(tracer.numbers.text, formatted, owner, *args)
    if name in ("format", "format_map"):
        return tracer.native(method, *stringable(tracer, args), **stringable(tracer, kwargs))
    args = tuple(_joined(tracer, a) for a in args) if name == "join" else args
    args = with_values(tracer, plain_data(tracer, args))
    refuse_objects(tracer, method, args, kwargs)
    return tracer.native(method, *args, **with_values(tracer, plain_data(tracer, kwargs)))


def _joined(tracer: Tracer, value: Any) -> Any:
    """What `join` iterates: of a dict the keys."""
    from tracegraph.capture.protocols.iteration import materialised

    if isinstance(value, dict):
        return list(value)
    try:
        return materialised(tracer, value)
    except Observed as observed:
        is_iterable = not isinstance(observed.exception, TypeError) or hasattr(type(value), "__iter__")
        if is_iterable or hasattr(type(value), "__getitem__"):
            raise
        raise Observed(TypeError("can only join an iterable")) from None


def _call_inherited(tracer: Tracer, method: Any, owner: Any, args: Args, kwargs: Kwargs) -> Any:
    """A C method that an instance of a Python class inherits: `super().__setattr__(...)`, `dict.update(self)`."""
    from tracegraph.capture.objects import attribute_writes, attributes
    from tracegraph.capture.protocols.special_methods import native_item

    name = method.__name__
    generics: dict[str, Callable[..., Any]] = {
        "__setattr__": attribute_writes.generic_set,
        "__getattribute__": attributes.generic_get,
        "__delattr__": attribute_writes.generic_delete,
    }
    if name in generics:
        return generics[name](tracer, owner, *args)
    if name in ("__reduce_ex__", "__reduce__"):
        return copying.reduce(tracer, owner)
    if name in ("__init__", "__init_subclass__") and not args and not kwargs:
        return None
    if not is_followed(tracer, owner):
        if name in ("__eq__", "__ne__", "__hash__"):
            tracer.pin(owner)
            return tracer.native(method, *args)
        raise refused(method, type(owner).__module__, " on contents that are not tracked")
    if name in ("__repr__", "__str__", "__format__", "__reduce_ex__", "__sizeof__", "__dir__"):
        raise Break(reasons.NATIVE_CALL, f"{type(owner).__name__}.{name}()")
    if name == "__getitem__" and isinstance(owner, dict) and args:
        return native_item(tracer, owner, method, args[0])
    if isinstance(owner, list | dict | set | collections.deque):
        return call_container(tracer, method, owner, args, kwargs)
    return tracer.native(method, *known(tracer, args), **kwargs)


def construct(tracer: Tracer, cls: type, args: Args, kwargs: Kwargs) -> Any:
    """`cls.__new__(cls, ...)` for a Python class that inherits a C constructor (of dict, tuple, Exception, ...).

    Raises:
        Break: the base class is in no table.
    """
    if cls is types.SimpleNamespace:
        return tracer.fresh(tracer.native(cls, *args, **kwargs))
    base = native_base(cls)
    if base in TUPLES:
        args = for_c(tracer, args)
    elif base in (list, dict, set, collections.OrderedDict, collections.deque, collections.defaultdict):
        args, kwargs = (), {}
    elif not issubclass(base, BaseException) and base not in (int, float, str):
        raise Break(reasons.NATIVE_CALL, f"a new {cls.__name__}, which inherits from {base.__name__}")
    return tracer.fresh(tracer.native(base.__new__, cls, *args, **kwargs))
