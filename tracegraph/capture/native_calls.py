"""Functions written in C: which ones may run during a trace, and on what.

A C function may run natively if it only looks at what the trace owns. Three properties decide: whether it iterates
its arguments, whether it calls functions given to it, and whether it looks into elements (compares, hashes, adds,
prints them). A function that is in no table breaks the graph.
"""

from __future__ import annotations

import cmath
import collections
import enum
import functools
import itertools
import math
import operator
import re
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture import arrays, computed_arrays, copying, polyfills
from tracegraph.capture import break_reasons as reasons
from tracegraph.capture.adapters import CallableAdapter, IteratorAdapter
from tracegraph.capture.break_reasons import Break
from tracegraph.capture.conversions import convert
from tracegraph.capture.functions import inline
from tracegraph.capture.instance_dicts import InstanceDict
from tracegraph.capture.keys import check_hashable
from tracegraph.capture.ordering import sort_items
from tracegraph.capture.safety import comparable, flatten, is_followed, is_opaque, specialised, stringable
from tracegraph.capture.sources import MISSING
from tracegraph.capture.texts import formatted
from tracegraph.capture.values import (
    CONSTANT_TYPES,
    CONTAINER_TYPES,
    DICT_VIEW_TYPES,
    STAND_INS,
    Observed,
    is_constant,
    is_instance_of_python_class,
    is_number,
    is_python_class,
    is_varying,
    native_base,
)
from tracegraph.ir import SymExpr
from tracegraph.ops.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer

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
#: methods that compare elements
_COMPARING = frozenset({"index", "remove", "count", "sort"})

#: classes whose instances are iterators over their arguments, or containers of them
_ITERATING_CLASSES: frozenset[Any] = frozenset({
    list, tuple, dict, set, frozenset, zip, map, filter, enumerate, reversed, collections.deque,
    collections.OrderedDict, collections.defaultdict, itertools.chain, itertools.islice, itertools.product,
    itertools.zip_longest, itertools.accumulate, itertools.repeat, itertools.cycle, itertools.count,
    itertools.takewhile, itertools.dropwhile, itertools.starmap, itertools.combinations, itertools.permutations,
    itertools.combinations_with_replacement, itertools.compress, itertools.filterfalse, itertools.groupby,
    itertools.pairwise, *(vars(itertools)[name] for name in ("batched",) if name in vars(itertools)),
})  # fmt: skip
#: of those, the ones that call an argument: its position or name
_CALLED: dict[Any, frozenset[int | str]] = {
    map: frozenset([0]), filter: frozenset([0]), collections.defaultdict: frozenset([0]),
    itertools.takewhile: frozenset([0]), itertools.dropwhile: frozenset([0]), itertools.filterfalse: frozenset([0]),
    itertools.starmap: frozenset([0]), itertools.accumulate: frozenset([1, "func"]),
    itertools.groupby: frozenset([1, "key"]),
}  # fmt: skip
#: of those, the ones that keep their arguments as they are
_KEEPING: frozenset[Any] = frozenset({itertools.repeat, itertools.count})
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
#: pure functions on immutable data
_PURE_MODULES = (math, cmath, operator)
_PURE_FUNCTIONS = frozenset(
    id(f) for module in _PURE_MODULES for f in vars(module).values() if isinstance(f, types.BuiltinFunctionType)
) | frozenset(
    map(
        id,
        (
            abs,
            bin,
            chr,
            divmod,
            hex,
            oct,
            ord,
            pow,
            round,
            sum,
            min,
            max,
            sorted,
            any,
            all,
            str.maketrans,
            sys.intern,
            bytes.maketrans,
        ),
    )
)
#: of those, the ones that keep symbolic sizes symbolic
_SYMBOLIC_FUNCTIONS = frozenset(map(id, (abs, divmod, min, max, sum, operator.neg)))

#: Python modules that are called as they are: they act on the world, or on the interpreter
_NOT_INLINED = frozenset({
    "logging", "warnings", "threading", "random", "time", "os", "sys", "inspect", "traceback", "importlib", "io",
    "subprocess", "socket", "asyncio", "multiprocessing", "concurrent", "unittest", "pytest", "_pytest", "numpy",
    "weakref", "gc", "ctypes", "pickle", "tempfile", "pathlib", "shutil", "datetime", "json", "re", "dis", "ast",
    "tokenize", "linecache", "builtins", "copyreg", "enum", "llvmlite", "networkx", "secrets", "uuid", "signal",
    "rich", "tqdm", "matplotlib", "sklearn", "scipy", "hypothesis", "atexit", "locale", "decimal", "fractions",
})  # fmt: skip
#: the parts of this library that are ordinary Python
_INLINED_LIBRARY = (
    "tracegraph.nn",
    "tracegraph.optim",
    "tracegraph.amp",
    "tracegraph.autograd.function",
    "tracegraph.func",
    "tracegraph.jit",
    "tracegraph.profiler",
    "tracegraph.tensor.assertions",
    "tracegraph.autograd.grad_mode",
    "tracegraph.tensor.cuda",
    "tracegraph.tensor.hooks",
    "tracegraph.tensor.linalg",
    "tracegraph.tensor.special",
    "tracegraph.tensor.questions",
    "tracegraph.tensor.determinism",
    "tracegraph.capture.polyfills",
)

#: of those, what changes objects in ways that cannot be followed
_EXCEPTED_LIBRARY = ("tracegraph.nn.lazy", "tracegraph.nn.uninitialized")


def may_inline(function: types.FunctionType) -> bool:
    """Whether a Python function is traced into, judged by its module."""
    module = function.__globals__.get("__name__") or ""
    top = module.partition(".")[0]
    if top == "tracegraph":
        is_listed = any(f"{module}.".startswith(f"{part}.") for part in _INLINED_LIBRARY)
        return is_listed and module not in _EXCEPTED_LIBRARY
    return top not in _NOT_INLINED


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
    if cls in _ITERATING_CLASSES:
        if cls in (dict, set, frozenset, collections.OrderedDict, collections.defaultdict):
            args = _hashable_items(tracer, {} if issubclass(cls, dict) else (), args)
        if cls in _KEEPING:
            return tracer.native(cls, *_known(tracer, args), **kwargs)
        called = _CALLED.get(cls, frozenset())
        args = tuple(_callable(tracer, a) if i in called else _adapted(tracer, a) for i, a in enumerate(args))
        kwargs = {k: _callable(tracer, v) if k in called else v for k, v in kwargs.items()}
        return tracer.native(cls, *args, **kwargs)
    if cls in _VALUE_CLASSES:
        is_settled, args = convert(tracer, cls, args)
        if is_settled:
            return args
        _refuse_objects(tracer, cls, args, kwargs)
        return tracer.native(cls, *_known(tracer, args), **kwargs)
    if cls is np.dtype or cls is np.ndarray:
        return arrays.compute(tracer, cls, args, kwargs)
    if cls in _HOLDING_CLASSES:
        return tracer.native(cls, *args, **kwargs)
    if issubclass(cls, BaseException):
        return tracer.fresh(tracer.native(cls, *args))
    raise Break(reasons.NATIVE_CALL, f"{cls.__name__}()")


def _hashable_items(tracer: Tracer, owner: Any, args: Args) -> Args:
    """Items that become keys of `owner`, checked, in a form that C code may iterate."""
    from tracegraph.capture.iteration import mapping, materialised

    if not args or args[-1] is None or callable(args[-1]):
        return args
    items = args[-1]
    if isinstance(owner, dict) and _is_mapping(tracer, items):
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


def _call_function(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> Any:
    if arrays.is_pure(function):
        return arrays.compute(tracer, function, args, kwargs)
    is_pure = id(function) in _PURE_FUNCTIONS or isinstance(function, operator.itemgetter)
    if not is_pure and isinstance(function, types.WrapperDescriptorType | types.MethodDescriptorType) and args:
        # an unbound method: str.upper(s), list.append(xs, x)
        return call_native(tracer, tracer.native(function.__get__, args[0], type(args[0])), args[1:], kwargs)
    if not is_pure:
        name = getattr(function, "__qualname__", None) or type(function).__name__
        raise Break(reasons.NATIVE_CALL, f"{getattr(function, '__module__', None) or 'builtins'}.{name}()")
    is_settled, args = convert(tracer, function, args)
    if is_settled:
        return args
    _refuse_objects(tracer, function, args, kwargs)
    if any(map(is_varying, args)) and all(map(is_number, args)) and not kwargs:
        is_polynomial = id(function) in _SYMBOLIC_FUNCTIONS and all(type(a) in (int, SymExpr) for a in args)
        return tracer.native(function, *args) if is_polynomial else _computed(tracer, function, args)
    if id(function) not in _SYMBOLIC_FUNCTIONS:
        args = _known(tracer, args)
    return tracer.native(function, *args, **kwargs)


def _computed(tracer: Tracer, function: Any, args: Args) -> Any:
    """A pure function of numbers that vary, computed by each call."""
    return tracer.native(tracer.numbers.compute, function, *args)


def _call_bound(tracer: Tracer, method: Any, owner: Any, args: Args, kwargs: Kwargs) -> Any:
    name = method.__name__
    if isinstance(owner, type):
        return _call_class_method(tracer, method, owner, args, kwargs)
    if isinstance(owner, types.FunctionType) and name == "__get__":
        return tracer.native(method, *args)
    if isinstance(owner, np.ndarray):
        return arrays.compute(tracer, method, args, kwargs)
    if is_opaque(tracer, owner) or (tracer.is_outside(method)):
        raise Break(reasons.NATIVE_CALL, f"{type(owner).__name__}.{name}()")
    if is_instance_of_python_class(owner):
        return _call_inherited(tracer, method, owner, args, kwargs)
    if type(owner) is str and name == "format" and not kwargs and tracer.numbers.are_printed(args):
        return tracer.native(tracer.numbers.text, formatted, owner, *args)
    if type(owner) in (str, bytes):
        args = tuple(_joinable(tracer, name, a) for a in args)
        return tracer.native(method, *stringable(tracer, args), **stringable(tracer, kwargs))
    if isinstance(owner, re.Pattern):
        args = tuple(_callable(tracer, a) for a in args)
    if isinstance(owner, BaseException) and name in ("add_note", "with_traceback") and not tracer.is_outside(owner):
        return tracer.native(method, *stringable(tracer, args))
    if is_constant(owner) or type(owner) in STAND_INS:
        return tracer.native(method, *_known(tracer, args), **kwargs)
    if type(owner) in CONTAINER_TYPES or isinstance(owner, DICT_VIEW_TYPES):
        return _call_container(tracer, method, owner, args, kwargs)
    raise Break(reasons.NATIVE_CALL, f"{type(owner).__name__}.{name}()")


def _call_class_method(tracer: Tracer, method: Any, owner: Any, args: Args, kwargs: Kwargs) -> Any:
    """A C method bound to a class."""
    name = method.__name__
    if name == "__new__" and args and isinstance(args[0], type):
        return construct(tracer, args[0], args[1:], kwargs)
    if name == "__call__" and method == type.__call__.__get__(owner):
        from tracegraph.capture.calls import instantiate

        return instantiate(tracer, owner, args, kwargs)
    if (owner, name) in _CLASS_METHODS:
        return inline(tracer, _CLASS_METHODS[owner, name], args, kwargs)
    if name == "fromkeys" and owner in (dict, collections.OrderedDict):
        keys = _hashable_items(tracer, {}, (_adapted(tracer, args[0]),))
        return tracer.native(method, *keys, *args[1:])
    if owner in (str, bytes, int, float, bytearray):
        _refuse_objects(tracer, method, args, kwargs)
        return tracer.native(method, *_for_c(tracer, args), **kwargs)
    if name == "__init_subclass__" and not args and not kwargs:
        return None
    raise Break(reasons.NATIVE_CALL, f"{owner.__name__}.{name}()")


def _joinable(tracer: Tracer, name: str, value: Any) -> Any:
    from tracegraph.capture.iteration import materialised

    return materialised(tracer, value) if name == "join" else value


def _call_container(tracer: Tracer, method: Any, owner: Any, args: Args, kwargs: Kwargs) -> Any:
    """A method of a builtin container whose contents the trace owns."""
    name = method.__name__
    is_keyed = isinstance(owner, dict | set | frozenset)
    if is_keyed and name in _KEYED and args:
        args = (check_hashable(tracer, args[0], owner), *args[1:])
    elif not is_keyed:
        args = _known(tracer, args) if name in ("pop", "insert", "rotate") else args
    if name not in _READING:
        tracer.effects.note_write()
    if name in _ITERATING or (is_keyed and name == "update"):
        args = _hashable_items(tracer, owner, args) if is_keyed else args
        return tracer.native(method, *_for_c(tracer, args), **kwargs)
    if name in _COMPARING:
        return _call_comparing(tracer, method, owner, args, kwargs)
    if name in _MOVING or is_keyed:
        return tracer.native(method, *args, **kwargs)
    if isinstance(owner, tuple | slice) or name.startswith("__"):
        _refuse_objects(tracer, method, args, kwargs)
        return tracer.native(method, *args, **kwargs)
    raise Break(reasons.NATIVE_CALL, f"{type(owner).__name__}.{name}()")


def _call_comparing(tracer: Tracer, method: Any, owner: Any, args: Args, kwargs: Kwargs) -> Any:
    """`index`, `count`, `remove` and `sort` of a sequence."""
    if method.__name__ == "sort":
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


def _call_inherited(tracer: Tracer, method: Any, owner: Any, args: Args, kwargs: Kwargs) -> Any:
    """A C method that an instance of a Python class inherits: `super().__setattr__(...)`, `dict.update(self)`."""
    from tracegraph.capture import attribute_writes, attributes
    from tracegraph.capture.special_methods import native_item

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
        raise Break(reasons.NATIVE_CALL, f"{type(owner).__name__}.{name}() on contents that are not tracked")
    if name in ("__repr__", "__str__", "__format__", "__reduce_ex__", "__sizeof__", "__dir__"):
        raise Break(reasons.NATIVE_CALL, f"{type(owner).__name__}.{name}()")
    if name == "__getitem__" and isinstance(owner, dict) and args:
        return native_item(tracer, owner, method, args[0])
    if isinstance(owner, list | dict | set | collections.deque):
        return _call_container(tracer, method, owner, args, kwargs)
    return tracer.native(method, *_known(tracer, args), **kwargs)


def construct(tracer: Tracer, cls: type, args: Args, kwargs: Kwargs) -> Any:
    """`cls.__new__(cls, ...)` for a Python class that inherits a C constructor (of dict, tuple, Exception, ...).

    Raises:
        Break: the base class is in no table.
    """
    if cls is types.SimpleNamespace:
        return tracer.fresh(tracer.native(cls, *args, **kwargs))
    base = native_base(cls)
    if base is tuple:
        args = _for_c(tracer, args)
    elif base in (list, dict, set, collections.OrderedDict, collections.deque, collections.defaultdict):
        args, kwargs = (), {}
    elif not issubclass(base, BaseException) and base not in (int, float, str):
        raise Break(reasons.NATIVE_CALL, f"a new {cls.__name__}, which inherits from {base.__name__}")
    return tracer.fresh(tracer.native(base.__new__, cls, *args, **kwargs))


# ------------------------------------------------------------------------------------------ arguments


def _for_c(tracer: Tracer, args: Args) -> Args:
    """Arguments that C code may iterate and call."""
    return tuple(_adapted(tracer, a) for a in args)


def _adapted(tracer: Tracer, value: Any) -> Any:
    from tracegraph.capture.iteration import iterate

    if isinstance(value, types.FunctionType | types.MethodType):
        return CallableAdapter(tracer, value)
    if type(value) is Traced or computed_arrays.is_given(tracer, value):
        return iterate(tracer, value)
    if isinstance(value, InstanceDict):
        return dict(value)
    if isinstance(value, tuple | type):
        return value
    if is_opaque(tracer, value):
        raise Break(reasons.OPAQUE_ITERATOR, f"an object of type {type(value).__name__} given to a builtin")
    if not is_instance_of_python_class(value):
        return value
    if hasattr(type(value), "__iter__"):
        return IteratorAdapter(tracer, iterate(tracer, value), value)
    return CallableAdapter(tracer, value) if callable(value) else value


def _callable(tracer: Tracer, value: Any) -> Any:
    """A function that C code is going to call."""
    is_native = value is None or (isinstance(value, type) and not is_python_class(value))
    return value if is_native or not callable(value) else CallableAdapter(tracer, value)


def _known(tracer: Tracer, args: Args) -> Args:
    return tuple(specialised(tracer, a) for a in args)


def _refuse_objects(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> None:
    """C code that looks into its arguments must find no object whose special methods are Python code."""
    name = getattr(function, "__name__", repr(function))
    for part in flatten((args, tuple(kwargs.values()))):
        if is_opaque(tracer, part):
            raise Break(reasons.NATIVE_CALL, f"{name}() of an object of type {type(part).__name__}")
        if is_instance_of_python_class(part) and not isinstance(part, str | int | float):
            raise Break(reasons.NATIVE_CALL, f"{name}() of an object of type {type(part).__name__}")
