"""Operators, truth, iteration and subscripts on symbolic values: the dunder protocols of CPython.

Builtin values run natively: their behaviour is C code over contents the trace owns. Instances of Python classes go
through their special methods, which are inlined. Objects from outside whose contents the trace does not see break.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tracegraph.capture import break_reasons as reasons
from tracegraph.capture import polyfills
from tracegraph.capture.break_reasons import Break
from tracegraph.capture.instance_dicts import InstanceDict
from tracegraph.capture.keys import check_hashable
from tracegraph.capture.safety import (
    comparable,
    is_followed,
    is_opaque,
    plain_number,
    specialised,
    stringable,
)
from tracegraph.capture.sources import MISSING, Keyed
from tracegraph.capture.values import CONTAINER_TYPES, Observed, is_instance_of_python_class, is_number, is_varying
from tracegraph.ir import SymExpr
from tracegraph.ops.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer

_NAMES = {
    "+": "add", "-": "sub", "*": "mul", "/": "truediv", "//": "floordiv", "%": "mod", "**": "pow", "@": "matmul",
    "&": "and", "|": "or", "^": "xor", "<<": "lshift", ">>": "rshift",
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    symbol: getattr(operator, f"{name}_" if name in ("and", "or") else name) for symbol, name in _NAMES.items()
}
_IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    f"{symbol}=": getattr(operator, f"i{name}") for symbol, name in _NAMES.items()
}
_COMPARE: dict[str, tuple[str, str, Callable[[Any, Any], Any]]] = {
    "==": ("__eq__", "__eq__", operator.eq),
    "!=": ("__ne__", "__ne__", operator.ne),
    "<": ("__lt__", "__gt__", operator.lt),
    "<=": ("__le__", "__ge__", operator.le),
    ">": ("__gt__", "__lt__", operator.gt),
    ">=": ("__ge__", "__le__", operator.ge),
}
#: functions of the operator module, by what they do
BINARY_FUNCTIONS = {function: symbol for symbol, function in (_FUNCTIONS | _IN_PLACE).items()}
COMPARISONS = {function: symbol for symbol, (_, _, function) in _COMPARE.items()}
#: operators under which expressions over sizes and ints stay such expressions
_SYMBOLIC = frozenset(["+", "-", "*", "//", "%", "+=", "-=", "*=", "//=", "%="])
_DIVISIONS = frozenset(["//", "%", "//=", "%="])
#: concatenation and repetition are no number slots: the other operand's reflected method is asked first
_SEQUENCES = (list, tuple, str, bytes, bytearray)


def special(tracer: Tracer, value: Any, name: str, *args: Any) -> Any:
    """`type(value).name(value, *args)`, NotImplemented if the class has no such method."""
    if not is_instance_of_python_class(value):
        slot = getattr(type(value), name, None)
        return NotImplemented if slot is None else tracer.native(slot, value, *args)
    raw = tracer.class_entry(type(value), name)
    if raw is MISSING or raw is None:
        return NotImplemented
    if raw is object.__ne__:
        # in C it asks the class's own __eq__, which may be Python code
        equal = special(tracer, value, "__eq__", *args)
        return equal if equal is NotImplemented else not truth(tracer, equal)
    if isinstance(raw, types.WrapperDescriptorType | types.MethodDescriptorType):
        return _native_slot(tracer, raw, value, *args)
    from tracegraph.capture.calls import call
    from tracegraph.capture.descriptors import bind

    return call(tracer, bind(tracer, raw, value, type(value), name), args, {})


def _native_slot(tracer: Tracer, slot: Any, value: Any, *args: Any) -> Any:
    """A C method found on an instance of a Python class: fine on contents the trace owns or that never change."""
    if slot.__objclass__ is object:
        tracer.pin(value)
        for arg in args:
            tracer.pin(arg)
    elif not is_followed(tracer, value):
        raise Break(
            reasons.UNSUPPORTED_VALUE, f"{slot.__objclass__.__name__}.{slot.__name__} of {type(value).__name__}"
        )
    return tracer.native(slot, value, *args)


def _is_plain(tracer: Tracer, value: Any) -> bool:
    if is_opaque(tracer, value):
        raise Break(reasons.UNSUPPORTED_VALUE, f"an operator on an object of type {type(value).__name__}")
    return not is_instance_of_python_class(value)


def binary(tracer: Tracer, symbol: str, a: Any, b: Any) -> Any:
    """`a symbol b`; an augmented assignment has a symbol that ends in `=`."""
    if Traced in (type(a), type(b)):
        a, b = plain_number(tracer, a), plain_number(tracer, b)
    if _is_plain(tracer, a) and _is_plain(tracer, b):
        if is_varying(a) or is_varying(b):
            return _varying(tracer, symbol, a, b)
        if type(a) is str and symbol.startswith("%"):
            b = stringable(tracer, b)
        return tracer.native((_IN_PLACE if symbol.endswith("=") else _FUNCTIONS)[symbol], a, b)
    name = _NAMES[symbol.removesuffix("=")]
    if symbol.endswith("=") and is_instance_of_python_class(a):
        result = special(tracer, a, f"__i{name}__", b)
        if result is not NotImplemented:
            return result
    result = either(tracer, (a, f"__{name}__", b), (b, f"__r{name}__", a))
    if result is NotImplemented:
        left, right = (tracer.type_of(v).__name__ for v in (a, b))
        raise Observed(TypeError(f"unsupported operand type(s) for {symbol}: {left!r} and {right!r}"))
    return result


def _varying(tracer: Tracer, symbol: str, a: Any, b: Any) -> Any:
    """An operator with a number that varies: more of its kind, a tensor op, or an operation on its value."""
    function = (_IN_PLACE if symbol.endswith("=") else _FUNCTIONS)[symbol]
    is_polynomial = symbol in _SYMBOLIC and all(type(v) in (int, SymExpr) for v in (a, b))
    if is_polynomial and type(b) is SymExpr and symbol in _DIVISIONS and b == 0:  # asked, so guarded
        return tracer.native(function, specialised(tracer, a), 0)
    if Traced in (type(a), type(b)) or is_polynomial:
        return tracer.native(function, a, b)
    if is_number(a) and is_number(b):
        return tracer.native(tracer.numbers.compute, _FUNCTIONS[symbol.removesuffix("=")], a, b)
    return tracer.native(function, specialised(tracer, a), specialised(tracer, b))


def either(tracer: Tracer, left: tuple[Any, str, Any], right: tuple[Any, str, Any], compares: bool = False) -> Any:
    """Ask one operand, then the other; a subclass is asked before its base.

    Args:
        compares: two operands of one class are both asked, as in comparisons.
    """
    a, b = left[0], right[0]
    subclass_first = type(a) is not type(b) and issubclass(type(b), type(a))
    attempts = [right, left] if subclass_first or isinstance(a, _SEQUENCES) else [left, right]
    if type(a) is type(b) and not compares:
        attempts = [left]
    for value, name, other in attempts:
        result = special(tracer, value, name, other)
        if result is not NotImplemented:
            return result
    return NotImplemented


def compare(tracer: Tracer, symbol: str, a: Any, b: Any) -> Any:
    """`a symbol b` for a comparison."""
    name, reflected, function = _COMPARE[symbol]
    if _is_plain(tracer, a) and _is_plain(tracer, b):
        if type(a) in CONTAINER_TYPES or type(b) in CONTAINER_TYPES:
            a, b = comparable(tracer, (a, b))
        if (is_varying(a) or is_varying(b)) and float in (type(a), type(b)):
            return tracer.native(tracer.numbers.compute, function, a, b)
        return tracer.native(function, a, b)
    result = either(tracer, (a, name, b), (b, reflected, a), compares=True)
    if result is not NotImplemented:
        return result
    if symbol in ("==", "!="):
        return identical(tracer, a, b) == (symbol == "==")
    left, right = (tracer.type_of(v).__name__ for v in (a, b))
    raise Observed(TypeError(f"{symbol!r} not supported between instances of {left!r} and {right!r}"))


def identical(tracer: Tracer, a: Any, b: Any) -> bool:
    """`a is b`, guarded where the answer depends on which objects come from outside."""
    if type(a) is SymExpr and type(b) is SymExpr:
        return a is b
    tracer.note_identity(a, b)
    return a is b


def unary(tracer: Tracer, name: str, function: Callable[[Any], Any], value: Any) -> Any:
    """`function(value)`, whose special method is `name`."""
    if _is_plain(tracer, value):
        if type(value) is SymExpr and name in ("__pos__", "__invert__"):
            return tracer.native(tracer.numbers.compute, function, value)
        return tracer.native(function, value)
    result = special(tracer, value, name)
    if result is NotImplemented:
        raise Observed(TypeError(f"bad operand type for unary {name.strip('_')}: {type(value).__name__!r}"))
    return result


def truth(tracer: Tracer, value: Any) -> bool:
    """`bool(value)`."""
    if type(value) is bool:
        return value
    if not is_instance_of_python_class(value):
        if is_opaque(tracer, value) and (hasattr(type(value), "__bool__") or hasattr(type(value), "__len__")):
            raise Break(reasons.UNSUPPORTED_VALUE, f"the truth of an object of type {type(value).__name__}")
        return bool(tracer.native(bool, value))
    answer = special(tracer, value, "__bool__")
    if answer is NotImplemented:
        answer = special(tracer, value, "__len__")
    return True if answer is NotImplemented else bool(tracer.native(bool, answer))


def length(tracer: Tracer, value: Any) -> Any:
    """`len(value)`; the first size of a tensor, which may be symbolic."""
    if type(value) is Traced and value.shape:
        return value.shape[0]
    if _is_plain(tracer, value):
        return tracer.native(len, value)
    answer = special(tracer, value, "__len__")
    if answer is NotImplemented:
        raise Observed(TypeError(f"object of type {type(value).__name__!r} has no len()"))
    return answer


def contains(tracer: Tracer, container: Any, item: Any) -> bool:
    """`item in container`."""
    if not _is_plain(tracer, container):
        answer = special(tracer, container, "__contains__", item)
        if answer is not NotImplemented:
            return truth(tracer, answer)
        return any(is_same(tracer, x, item) for x in walk(tracer, container))
    if isinstance(container, list | tuple) and not (_is_simple(tracer, container) and _is_simple(tracer, item)):
        return any(is_same(tracer, x, item) for x in list(container))
    if isinstance(container, dict | set | frozenset):
        item = check_hashable(tracer, item, container)
    return bool(tracer.native(operator.contains, container, item))


def _is_simple(tracer: Tracer, value: Any) -> bool:
    items = value if isinstance(value, list | tuple) else (value,)
    return not any(is_instance_of_python_class(i) or isinstance(i, list | tuple | dict) for i in items)


def is_same(tracer: Tracer, a: Any, b: Any) -> bool:
    """`a is b or a == b`, what containers ask."""
    return identical(tracer, a, b) or truth(tracer, compare(tracer, "==", a, b))


# ------------------------------------------------------------------------------------------ subscripts


def subscript(tracer: Tracer, container: Any, key: Any) -> Any:
    """`container[key]`."""
    entry = _entry_of_object(tracer, container, key)
    if entry is not MISSING:
        return entry
    if type(container).__module__ == "typing":
        return tracer.native(operator.getitem, container, key)
    if not _is_plain(tracer, container):
        result = special(tracer, container, "__getitem__", key)
        if result is NotImplemented:
            raise Observed(TypeError(f"{type(container).__name__!r} object is not subscriptable"))
        return result
    if isinstance(container, dict):
        key = check_hashable(tracer, key, container)
        factory = getattr(container, "default_factory", None)
        if factory is not None and key not in container:
            from tracegraph.capture.calls import call

            container[key] = call(tracer, factory, (), {})
        return tracer.native(operator.getitem, container, key)
    if type(container) is not Traced:
        key = specialised(tracer, key)
    key = _index(tracer, key)
    return tracer.native(operator.getitem, container, key)


def _entry_of_object(tracer: Tracer, container: Any, key: Any) -> Any:
    """The entry of an outside dict whose keys are not followed, under a tensor that is an input; else MISSING."""
    if type(key) is not Traced or not isinstance(container, dict) or not tracer.is_marked_opaque(container):
        return MISSING
    source, graph_input = tracer.source_of(container), tracer.input_of(key)
    if source is None or graph_input is None or graph_input.convert is not None:
        return MISSING
    entry = container.get(graph_input.tensor)
    return MISSING if entry is None else tracer.read(entry, Keyed(source, graph_input.source))


def set_subscript(tracer: Tracer, container: Any, key: Any, value: Any) -> None:
    """`container[key] = value`."""
    if not _is_plain(tracer, container):
        if special(tracer, container, "__setitem__", key, value) is NotImplemented:
            raise Observed(TypeError(f"{type(container).__name__!r} object does not support item assignment"))
        return
    tracer.effects.note_write()
    key = check_hashable(tracer, key, container) if isinstance(container, dict) else _index(tracer, key)
    value = materialised(tracer, value) if isinstance(key, slice) and isinstance(container, list) else value
    tracer.native(operator.setitem, container, key, value)


def delete_subscript(tracer: Tracer, container: Any, key: Any) -> None:
    """`del container[key]`."""
    if not _is_plain(tracer, container):
        if special(tracer, container, "__delitem__", key) is NotImplemented:
            raise Observed(TypeError(f"{type(container).__name__!r} object doesn't support item deletion"))
        return
    tracer.effects.note_write()
    key = check_hashable(tracer, key, container) if isinstance(container, dict) else _index(tracer, key)
    tracer.native(operator.delitem, container, key)


def _index(tracer: Tracer, key: Any) -> Any:
    """A position or slice with `__index__` called on objects."""
    if type(key) is tuple:
        return tuple(_index(tracer, part) for part in key)
    if type(key) is slice:
        return slice(*(_index(tracer, part) for part in (key.start, key.stop, key.step)))
    if not is_instance_of_python_class(key) or isinstance(key, str):
        return key
    if isinstance(key, int):
        return plain_number(tracer, key)
    result = special(tracer, key, "__index__")
    return key if result is NotImplemented else result


# ------------------------------------------------------------------------------------------ iteration


def iterate(tracer: Tracer, value: Any) -> Any:
    """`iter(value)`: an iterator that `advance` understands."""
    if type(value) is Traced:
        return tracer.fresh(iter(list(tracer.native(value.unbind, 0)))) if value.shape else tracer.native(iter, value)
    if not is_instance_of_python_class(value):
        if is_opaque(tracer, value) and iter_returns_self(value):
            return value
        if is_opaque(tracer, value):
            raise Break(reasons.OPAQUE_ITERATOR, f"iteration over an object of type {type(value).__name__}")
        iterator = tracer.native(iter, value)
        return iterator if iterator is value else tracer.fresh(iterator)
    result = special(tracer, value, "__iter__")
    if result is NotImplemented:
        if tracer.class_entry(type(value), "__getitem__") is not MISSING:
            return _inline(tracer, polyfills.iterate_by_index, value)
        raise Observed(TypeError(f"{type(value).__name__!r} object is not iterable"))
    return result


def _inline(tracer: Tracer, polyfill: Any, *args: Any) -> Any:
    from tracegraph.capture.functions import inline

    return inline(tracer, polyfill, args, {})


def backwards(tracer: Tracer, value: Any) -> Any:
    """`reversed(value)`."""
    if type(value) is Traced:
        return backwards(tracer, list(walk(tracer, value)))
    if not is_instance_of_python_class(value):
        if is_opaque(tracer, value):
            raise Break(reasons.OPAQUE_ITERATOR, f"reversed() of an object of type {type(value).__name__}")
        return tracer.fresh(tracer.native(reversed, value))
    result = special(tracer, value, "__reversed__")
    if result is not NotImplemented:
        return result
    if (
        tracer.class_entry(type(value), "__getitem__") is MISSING
        or tracer.class_entry(type(value), "__len__") is MISSING
    ):
        raise Observed(TypeError(f"{type(value).__name__!r} object is not reversible"))
    return _inline(tracer, polyfills.reversed_, value)


def mapping(tracer: Tracer, value: Any) -> dict[Any, Any]:
    """The content of a mapping, as `{**value}` takes it.

    Raises:
        Observed: TypeError for what is no mapping.
    """
    if isinstance(value, InstanceDict):
        return dict(value)
    if not is_instance_of_python_class(value):
        if isinstance(value, dict):
            return value
        raise Observed(TypeError(f"{tracer.type_of(value).__name__!r} object is not a mapping"))
    if tracer.class_entry(type(value), "keys") is MISSING:
        raise Observed(TypeError(f"{type(value).__name__!r} object is not a mapping"))
    items: dict[Any, Any] = _inline(tracer, polyfills.mapping_items, value)
    return items


def iter_returns_self(value: Any) -> bool:
    """Whether a builtin object is an iterator."""
    return hasattr(type(value), "__next__")


def advance(tracer: Tracer, iterator: Any) -> Any:
    """`next(iterator)`.

    Raises:
        Observed: StopIteration at the end.
    """
    if is_instance_of_python_class(iterator):
        result = special(tracer, iterator, "__next__")
        if result is NotImplemented:
            raise Observed(TypeError(f"{type(iterator).__name__!r} object is not an iterator"))
        return result
    if is_opaque(tracer, iterator):
        raise Break(reasons.OPAQUE_ITERATOR, f"next() of a {type(iterator).__name__} made outside")
    return tracer.native(next, iterator)


def walk(tracer: Tracer, value: Any) -> Iterator[Any]:
    """The items of `value`, iterated symbolically."""
    return _items(tracer, iterate(tracer, value))


def listed(tracer: Tracer, value: Any) -> list[Any]:
    """`list(value)`, which asks the length before the first item."""
    iterator = iterate(tracer, value)
    if is_instance_of_python_class(value):
        special(tracer, value, "__len__")
    return list(_items(tracer, iterator))


def _items(tracer: Tracer, iterator: Any) -> Iterator[Any]:
    while True:
        try:
            item = advance(tracer, iterator)
        except Observed as observed:
            if isinstance(observed.exception, StopIteration):
                return
            raise
        yield item


def materialised(tracer: Tracer, value: Any) -> Any:
    """Something that C code may iterate: builtin containers as they are, anything else as a list."""
    return value if type(value) in (list, tuple, dict, set, frozenset, str, range) else list(walk(tracer, value))
