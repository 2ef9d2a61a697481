"""Builtins that ask an object for a number: `int`, `float`, `abs`, `round`, `divmod`, `pow`, `math.floor`, ...

Each is a row: the special methods it tries in order, and what it does with the answer. Objects without Python code of
their own go to the builtin itself.
"""

from __future__ import annotations

import math
import operator
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.protocols.operators import binary, either
from tracegraph.capture.protocols.special_methods import special
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import is_instance_of_python_class, native_base
from tracegraph.capture.trace.safety import plain_number

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

#: special methods by builtin; the first that the class has answers
_METHODS: dict[Any, tuple[str, ...]] = {
    int: ("__int__", "__index__", "__trunc__"),
    float: ("__float__", "__index__"),
    complex: ("__complex__", "__float__", "__index__"),
    abs: ("__abs__",),
    round: ("__round__",),
    operator.index: ("__index__",),
    operator.abs: ("__abs__",),
    math.floor: ("__floor__", "__float__"),
    math.ceil: ("__ceil__", "__float__"),
    math.trunc: ("__trunc__",),
    bytes: ("__bytes__",),
    **dict.fromkeys((range, bin, hex, oct, chr), ("__index__",)),
    **dict.fromkeys((math.gcd, math.lcm, math.comb, math.perm, math.factorial, math.isqrt), ("__index__",)),
}
_ITERATING = frozenset({"fsum", "dist", "prod", "sumprod"})
_OF_NUMBERS = ("__int__", "__index__", "__float__", "__complex__", "__trunc__")
#: what the arguments after the first are asked for, where it is something else
_OF_OTHERS: dict[Any, tuple[str, ...]] = {
    int: ("__index__",),
    round: ("__index__",),
    complex: ("__float__", "__index__"),
    bytes: (),
}
#: those whose method is given the arguments that follow, and whose answer is the result as it is
_FINAL: frozenset[Any] = frozenset({abs, round, operator.abs, math.trunc, bytes})


def convert(tracer: Tracer, function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[bool, Any]:
    """`function(*args)` by special methods: whether that settles it, and the result or the arguments to go on with."""
    first = _METHODS.get(function) or (("__float__", "__index__") if _is_of_math(function) else ())
    converted: list[Any] = []
    for position, arg in enumerate(args):
        methods = _OF_OTHERS.get(function, first) if position else first
        name = _method_of(tracer, arg, methods)
        if methods and not position and function is not bytes and _is_no_number(tracer, arg, methods):
            return True, tracer.native(function, *args)  # which raises
        if name is None:
            converted.append(plain_number(tracer, arg) if methods else arg)
        elif not position and (function in _FINAL or name in ("__floor__", "__ceil__")):
            return True, special(tracer, arg, name, *args[1:])
        else:
            converted.append(special(tracer, arg, name))
    return False, tuple(converted)


def _is_of_math(function: Any) -> bool:
    """Whether a function takes numbers and no iterables of them."""
    return getattr(function, "__module__", None) == "math" and function.__name__ not in _ITERATING


def _method_of(tracer: Tracer, value: Any, methods: tuple[str, ...]) -> str | None:
    """The first of the methods that the class of an object defines in Python."""
    if not is_instance_of_python_class(value):
        return None
    return next((n for n in methods if isinstance(tracer.class_entry(type(value), n), types.FunctionType)), None)


def _is_no_number(tracer: Tracer, value: Any, methods: tuple[str, ...]) -> bool:
    """Whether an object has none of the methods by which a builtin could make a number of it."""
    if not is_instance_of_python_class(value) or native_base(type(value)) is not object:
        return False
    return all(tracer.class_entry(type(value), name) is MISSING for name in {*methods, *_OF_NUMBERS})


def divide(tracer: Tracer, a: Any, b: Any) -> Any:
    """`divmod(a, b)` by special methods, NotImplemented if neither operand has them."""
    return either(tracer, (a, "__divmod__", b), (b, "__rdivmod__", a))


def power(tracer: Tracer, base: Any, exponent: Any, modulus: Any = None) -> Any:
    """`pow(base, exponent, modulus)`."""
    if modulus is None:
        return binary(tracer, "**", base, exponent)
    return special(tracer, base, "__pow__", exponent, modulus)
