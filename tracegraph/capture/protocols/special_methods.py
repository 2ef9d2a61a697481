"""Special methods of symbolic values, and what only asks for one: truth and length.

Builtin values run natively: their behaviour is C code over contents the trace owns. Instances of Python classes go
through their special methods, which are inlined. Objects from outside whose contents the trace does not see break.
"""

from __future__ import annotations

import operator
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import Observed, is_instance_of_python_class
from tracegraph.capture.tensors import arrays
from tracegraph.capture.trace.replaced_methods import is_replaced
from tracegraph.capture.trace.safety import flatten, has_operators, is_followed, is_opaque, specialised
from tracegraph.ir import SymExpr
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def special(tracer: Tracer, value: Any, name: str, *args: Any) -> Any:
    """`type(value).name(value, *args)`, NotImplemented if the class has no such method."""
    if not is_instance_of_python_class(value) and not has_operators(tracer, value):
        slot = getattr(type(value), name, None)
        return NotImplemented if slot is None else tracer.native(slot, value, *args)
    tracer.backward_reads.use(value)
    raw = tracer.class_entry(type(value), name)
    if raw is MISSING or raw is None:
        return NotImplemented
    if raw is object.__ne__:
        # in C it asks the class's own __eq__, which may be Python code
        equal = special(tracer, value, "__eq__", *args)
        return equal if equal is NotImplemented else not truth(tracer, equal)
    if isinstance(raw, types.WrapperDescriptorType | types.MethodDescriptorType):
        return _native_slot(tracer, raw, value, *args)
    from tracegraph.capture.calls.callables import call
    from tracegraph.capture.protocols.descriptors import bind

    answer = call(tracer, bind(tracer, raw, value, type(value), name), args, {})
    return _checked(tracer, value, name, answer) if name in _ASKED_BY else answer


#: special methods whose answers are checked: the builtin that does, and a class of which nothing need be said
_ASKED_BY: dict[str, tuple[Callable[..., Any], type]] = {
    "__bool__": (bool, bool),
    "__len__": (len, int),
    "__str__": (str, str),
    "__repr__": (repr, str),
    "__format__": (format, str),
    "__hash__": (hash, int),
    "__index__": (operator.index, int),
    "__int__": (int, int),
    "__float__": (float, float),
    "__complex__": (complex, complex),
    "__bytes__": (bytes, bytes),
    "__iter__": (iter, types.GeneratorType),
}


def _checked(tracer: Tracer, value: Any, name: str, answer: Any) -> Any:
    """The answer of a special method, as the builtin that asks for it takes it.

    Raises:
        Observed: the answer is of a type, or a number, that the builtin refuses.
    """
    builtin, usual = _ASKED_BY[name]
    is_number_of_items = name != "__len__" or (type(answer) is SymExpr and answer >= 0)
    if tracer.type_of(answer) is usual and (is_number_of_items or 0 <= specialised(tracer, answer) <= sys.maxsize):
        return answer
    answer = specialised(tracer, answer)
    answering = type(type(value).__name__, (), {name: lambda *args: answer})
    return tracer.native(builtin, answering())


def _native_slot(tracer: Tracer, slot: Any, value: Any, *args: Any) -> Any:
    """A C method found on an instance of a Python class: fine on contents the trace owns or that never change."""
    if slot.__objclass__ is types.SimpleNamespace and any(map(tracer.is_outside, (value, *args))):
        # in C it looks at the attributes that the namespace had before the trace
        raise Break(reasons.UNSUPPORTED_VALUE, "comparing a namespace from outside")
    if slot.__objclass__ is types.SimpleNamespace and any(map(_holds_objects, (value, *args))):
        raise Break(reasons.UNSUPPORTED_VALUE, "comparing namespaces of objects")
    if slot.__objclass__ is object:
        tracer.pin(value)
        for arg in args:
            tracer.pin(arg)
    elif not isinstance(value, type) and not is_followed(tracer, value):
        raise Break(
            reasons.UNSUPPORTED_VALUE, f"{slot.__objclass__.__name__}.{slot.__name__} of {type(value).__name__}"
        )
    elif isinstance(value, dict) and slot.__name__ == "__getitem__":
        return native_item(tracer, value, slot.__get__(value), *args)
    return tracer.native(slot, value, *args)


def _holds_objects(namespace: Any) -> bool:
    """Whether C code that compares a namespace may come to objects of Python classes."""
    held = vars(namespace) if isinstance(namespace, types.SimpleNamespace) else namespace
    return any(map(is_instance_of_python_class, flatten(held)))


def native_item(tracer: Tracer, container: dict[Any, Any], method: Any, key: Any) -> Any:
    """`dict.__getitem__` of an instance of a derived class, which asks `__missing__` for what is not there."""
    from tracegraph.capture.trace.keys import check_hashable

    key = check_hashable(tracer, key, container)
    if not tracer.native(dict.__contains__, container, key):
        result = special(tracer, container, "__missing__", key)
        if result is not NotImplemented:
            return result
    return tracer.native(method, key)


def is_plain(tracer: Tracer, value: Any) -> bool:
    """Whether operations on `value` are C code that the trace may run.

    Raises:
        Break: they are, and read contents that it does not see.
    """
    if is_opaque(tracer, value):
        raise Break(reasons.UNSUPPORTED_VALUE, f"an operator on an object of type {type(value).__name__}")
    return not is_instance_of_python_class(value) and not has_operators(tracer, value)


def truth(tracer: Tracer, value: Any) -> bool:
    """`bool(value)`."""
    if type(value) is bool:
        return value
    if isinstance(value, np.ndarray):
        return truth(tracer, arrays.compute(tracer, bool, (value,), {}))
    if not is_instance_of_python_class(value) and not has_operators(tracer, value):
        if is_opaque(tracer, value) and (hasattr(type(value), "__bool__") or hasattr(type(value), "__len__")):
            raise Break(reasons.UNSUPPORTED_VALUE, f"the truth of an object of type {type(value).__name__}")
        return bool(tracer.native(bool, value))
    answer = special(tracer, value, "__bool__")
    if answer is NotImplemented:
        answer = special(tracer, value, "__len__")
    return True if answer is NotImplemented else bool(tracer.native(bool, answer))


def length(tracer: Tracer, value: Any) -> Any:
    """`len(value)`; the first size of a tensor, which may be symbolic."""
    if type(value) is Traced and value.shape and not is_replaced(tracer, value, "__len__"):
        return value.shape[0]
    if isinstance(value, np.ndarray):
        tracer.native(len, value)
        return arrays.get_attribute(tracer, value, "shape")[0]
    if is_plain(tracer, value):
        return tracer.native(len, value)
    answer = special(tracer, value, "__len__")
    if answer is NotImplemented:
        raise Observed(TypeError(f"object of type {type(value).__name__!r} has no len()"))
    return answer
