"""Operators and comparisons of symbolic values, by the protocols of CPython: which operand is asked first, and by what
method.
"""

from __future__ import annotations

import copy
import operator
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.protocols.special_methods import is_plain, special
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.constants import same_constant
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.texts import VaryingText, percent
from tracegraph.capture.stack.values import (
    CONTAINER_TYPES,
    DICT_VIEW_TYPES,
    TUPLES,
    Observed,
    is_constant,
    is_instance_of_python_class,
    is_number,
    is_varying,
)
from tracegraph.capture.tensors import arrays
from tracegraph.capture.trace.keys import check_operands
from tracegraph.capture.trace.replaced_methods import is_asked_first
from tracegraph.capture.trace.safety import comparable, plain_number, specialised, stringable
from tracegraph.ir import SymExpr
from tracegraph.ops.core.sym_float import SymFloat
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

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


def binary(tracer: Tracer, symbol: str, a: Any, b: Any) -> Any:
    """`a symbol b`; an augmented assignment has a symbol that ends in `=`."""
    if Traced in (type(a), type(b)):
        a, b = plain_number(tracer, a), plain_number(tracer, b)
    if type(a) is type(b) is Traced and tracer.replaced_methods and not symbol.endswith("="):
        reflected = f"__r{_NAMES[symbol]}__"
        result = special(tracer, b, reflected, a) if is_asked_first(tracer, b, a, reflected) else NotImplemented
        if result is not NotImplemented:
            return result
    computed = NotImplemented if symbol.endswith("=") else arrays.operate(tracer, _FUNCTIONS[symbol], a, b)
    if computed is not NotImplemented:
        return computed
    is_filled_in = type(a) in _TEXTS and symbol.startswith("%") and is_instance_of_python_class(b)
    if is_filled_in and tracer.class_entry(type(b), "__rmod__") is MISSING:
        return _on_text(tracer, symbol, a, _values_to_fill_in(tracer, b))
    if is_plain(tracer, a) and is_plain(tracer, b):
        if {type(a), type(b)} & _TEXTS:
            return _on_text(tracer, symbol, a, b)
        if is_varying(a) or is_varying(b):
            return _varying(tracer, symbol, a, b)
        check_operands(tracer, a, b)
        return tracer.native((_IN_PLACE if symbol.endswith("=") else _FUNCTIONS)[symbol], a, b)
    name = _NAMES[symbol.removesuffix("=")]
    if symbol.endswith("=") and is_instance_of_python_class(a):
        result = special(tracer, a, f"__i{name}__", b)
        if result is not NotImplemented:
            return result
    result = either(tracer, (a, f"__{name}__", b), (b, f"__r{name}__", a))
    if result is NotImplemented:
        left, right = (tracer.type_of(v).__name__ for v in (a, b))
        shown = "** or pow()" if symbol == "**" else symbol
        raise Observed(TypeError(f"unsupported operand type(s) for {shown}: {left!r} and {right!r}"))
    return result


_TEXTS = frozenset((str, VaryingText))


def _values_to_fill_in(tracer: Tracer, value: Any) -> Any:
    """What the right operand of `text % object` stands for: values of its own, a mapping, or one value."""
    if isinstance(value, tuple):
        return tuple(tuple.__iter__(value))
    return (value,) if tracer.class_entry(type(value), "__getitem__") is MISSING else value


def _on_text(tracer: Tracer, symbol: str, a: Any, b: Any) -> Any:
    """An operator on text: joined, filled in, or what it is on the plain text."""
    if symbol in ("+", "+=") and VaryingText in (type(a), type(b)) and {type(a), type(b)} <= _TEXTS:
        return tracer.numbers.text(operator.add, a, b)
    if type(a) is str and symbol.startswith("%"):
        values = b if type(b) in TUPLES else (b,)
        if tracer.numbers.are_printed(values):
            return tracer.native(tracer.numbers.text, percent, a, *values)
        b = stringable(tracer, b)
    function = (_IN_PLACE if symbol.endswith("=") else _FUNCTIONS)[symbol]
    return tracer.native(function, specialised(tracer, a), specialised(tracer, b))


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
    right_first = type(a) is not type(b) and issubclass(type(b), type(a))
    if not compares:
        own = tracer.class_entry(type(a), left[1]) if isinstance(a, _SEQUENCES) else MISSING
        is_sequence = isinstance(a, _SEQUENCES) and not isinstance(own, types.FunctionType)
        right_first = is_sequence or (right_first and _is_overridden(tracer, type(b), type(a), right[1]))
    attempts = [right, left] if right_first else [left, right]
    if type(a) is type(b) and not compares:
        attempts = [left]
    for value, name, other in attempts:
        result = special(tracer, value, name, other)
        if result is not NotImplemented:
            return result
    return NotImplemented


def _is_overridden(tracer: Tracer, cls: type, base: type, name: str) -> bool:
    """Whether a class has another method than its base."""
    return tracer.class_entry(cls, name) is not tracer.class_entry(base, name)


def compare(tracer: Tracer, symbol: str, a: Any, b: Any) -> Any:
    """`a symbol b` for a comparison."""
    name, reflected, function = _COMPARE[symbol]
    computed = arrays.operate(tracer, function, a, b)
    if computed is not NotImplemented:
        return computed
    if is_plain(tracer, a) and is_plain(tracer, b):
        if _is_container(a) or _is_container(b):
            items, others = comparable(tracer, (a, b))
            has_objects = items is not a or others is not b
            if has_objects and type(a) is type(b) and type(a) in (list, tuple) and name not in ("__eq__", "__ne__"):
                return _compare_items(tracer, symbol, a, b)
            a, b = items, others
        if (is_varying(a) or is_varying(b)) and _is_no_size(a, b):
            return tracer.native(tracer.numbers.compute, function, a, b)
        return tracer.native(function, a, b)
    result = either(tracer, (a, name, b), (b, reflected, a), compares=True)
    if result is not NotImplemented:
        return result
    if symbol in ("==", "!="):
        return identical(tracer, a, b) == (symbol == "==")
    left, right = (tracer.type_of(v).__name__ for v in (a, b))
    raise Observed(TypeError(f"{symbol!r} not supported between instances of {left!r} and {right!r}"))


def _is_container(value: Any) -> bool:
    return type(value) in CONTAINER_TYPES or isinstance(value, DICT_VIEW_TYPES)


def _compare_items(tracer: Tracer, symbol: str, a: Any, b: Any) -> Any:
    """Which of two sequences comes first: what the first items that differ answer, whatever that is."""
    from tracegraph.capture.protocols.containers import is_same

    for first, second in zip(list(a), list(b), strict=False):
        if not is_same(tracer, first, second):
            return compare(tracer, symbol, first, second)
    return compare(tracer, symbol, len(a), len(b))


def _is_no_size(a: Any, b: Any) -> bool:
    """Whether a comparison of numbers is one that symbols of sizes know nothing of."""
    return is_number(a) and is_number(b) and not {type(a), type(b)} <= {int, bool, SymExpr, SymFloat}


def identical(tracer: Tracer, a: Any, b: Any) -> bool:
    """`a is b`, guarded where the answer depends on which objects come from outside.

    Raises:
        Break: they are equal numbers or texts, which are guarded by value: in another call the answer may be another.
    """
    if type(a) is SymExpr and type(b) is SymExpr:
        return a is b
    if may_be_one(tracer, a, b):
        what = f"whether two equal objects of type {type(a).__name__} are one"
        raise Break(reasons.UNSUPPORTED_VALUE, what, Extent.FRAME)
    tracer.note_identity(a, b)
    return a is b


def may_be_one(tracer: Tracer, a: Any, b: Any) -> bool:
    """Whether these are equal constants, which might or might not be one object in another call."""
    if type(a) is not type(b) or type(a) not in (float, complex, int, str, bytes, tuple, frozenset, range):
        return False
    if a is b and tracer.frames[-1].namespace is vars(copy):
        return False  # it asks whether its copy of something is that itself, as it is of constants
    is_small = type(a) is int and -5 <= a <= 256
    if is_small or (a is b and not tracer.is_read_twice(a)):
        return False
    return is_constant(a) and is_constant(b) and same_constant(a, b)


_SIGNS = {"__neg__": "-", "__pos__": "+", "__invert__": "~"}


def unary(tracer: Tracer, name: str, function: Callable[[Any], Any], value: Any) -> Any:
    """`function(value)`, whose special method is `name`."""
    if isinstance(value, np.ndarray):
        return arrays.compute(tracer, function, (value,), {})
    if is_plain(tracer, value):
        if type(value) is SymExpr and name in ("__pos__", "__invert__"):
            return tracer.native(tracer.numbers.compute, function, value)
        return tracer.native(function, value)
    result = special(tracer, value, name)
    if result is NotImplemented:
        raise Observed(TypeError(f"bad operand type for unary {_SIGNS[name]}: {type(value).__name__!r}"))
    return result
