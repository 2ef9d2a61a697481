"""Texts of values: `str`, `repr`, `ascii` and `format`, by the special methods of their classes."""

from __future__ import annotations

import enum
import types
from typing import TYPE_CHECKING, Any

from tracegraph.capture.objects import attributes
from tracegraph.capture.protocols import special_methods
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.stack.texts import VaryingText
from tracegraph.capture.stack.values import VALUE_BASES, base_value, is_instance_of_python_class, is_varying
from tracegraph.capture.trace.safety import is_followed, stringable

if TYPE_CHECKING:
    from tracegraph.capture.trace.frame import Frame
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def _call_str(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    if len(args) == 1 and is_instance_of_python_class(args[0]):
        return _text(tracer, args[0], ("__str__", "__repr__"), str)
    if len(args) == 1 and is_varying(args[0]) and not kwargs:
        return tracer.numbers.text(str, args[0])
    if len(args) == 1 and isinstance(args[0], BaseException) and not tracer.is_outside(args[0]):
        return _text_of_exception(tracer, args[0], str)
    if len(args) == 1 and type(args[0]) is VaryingText:
        return args[0]
    return tracer.native(str, *stringable(tracer, args), **kwargs)


def _call_repr(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    if is_instance_of_python_class(args[0]):
        return _text(tracer, args[0], ("__repr__",), repr)
    if is_varying(args[0]):
        return tracer.numbers.text(repr, args[0])
    if isinstance(args[0], BaseException) and not tracer.is_outside(args[0]):
        return _text_of_exception(tracer, args[0], repr)
    return tracer.native(repr, *stringable(tracer, args))


def _call_ascii(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    return tracer.native(ascii, *stringable(tracer, args))


def _call_format(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Frame | None) -> Any:
    value, spec = args if len(args) == 2 else (args[0], "")
    if isinstance(value, BaseException) and spec == "":
        return _call_str(tracer, (value,), {}, frame)
    if is_instance_of_python_class(value):
        raw = tracer.class_entry(type(value), "__format__")
        if isinstance(value, enum.Enum) and getattr(raw, "__module__", None) == "enum":
            return _call_format(tracer, (_call_str(tracer, (value,), {}, frame), spec), {}, frame)
        if isinstance(raw, types.FunctionType):
            return special_methods.special(tracer, value, "__format__", spec)
        if spec == "":
            return _call_str(tracer, (value,), {}, frame)
        if isinstance(value, VALUE_BASES) and not isinstance(value, enum.Enum):
            tracer.pin(value)
            return tracer.native(format, base_value(value), spec)
    if (is_varying(value) or type(value) is VaryingText) and type(spec) is str:
        return tracer.native(tracer.numbers.text, format, value, spec) if is_varying(value) or spec else value
    return tracer.native(format, stringable(tracer, value), spec)


def _text(tracer: Tracer, value: Any, names: tuple[str, ...], builtin: Any) -> Any:
    """Ask the first of the special methods that the class implements in Python."""
    for name in names:
        raw = tracer.class_entry(type(value), name)
        if isinstance(value, enum.Enum) and getattr(raw, "__module__", None) == "enum":
            tracer.pin(value)
            return tracer.native(builtin, value)
        if isinstance(raw, types.FunctionType):
            return special_methods.special(tracer, value, name)
    if isinstance(value, VALUE_BASES):
        tracer.pin(value)
        return tracer.native(builtin, base_value(value))
    if isinstance(value, list | dict | set | types.SimpleNamespace) and is_followed(tracer, value):
        return _inherited_text(tracer, value)
    if isinstance(value, BaseException) and not tracer.is_outside(value):
        return _text_of_exception(tracer, value, builtin)
    raise Break(reasons.NATIVE_CALL, f"the text of an object of type {type(value).__name__}")


def _text_of_exception(tracer: Tracer, exception: BaseException, builtin: Any) -> Any:
    """The text of an exception of the trace, which C code makes of what it was raised with."""
    args = exception.args
    exception.args = stringable(tracer, args)
    try:
        return tracer.native(builtin, exception)
    finally:
        exception.args = args


def _inherited_text(tracer: Tracer, value: Any) -> Any:
    """The text of a container of a Python class, as its C class writes it."""
    if isinstance(value, types.SimpleNamespace):
        name = "namespace" if type(value) is types.SimpleNamespace else type(value).__name__
        stored = attributes.get(tracer, value, "__dict__").items()
        items = (f"{k}={_call_repr(tracer, (v,), {}, None)}" for k, v in stored)
        return f"{name}({', '.join(items)})"
    method: Any = class_lookup(type(value), "__repr__")
    base: type | None = next((b for b in (list, dict) if method is b.__repr__), None)
    if base is None:
        raise Break(reasons.NATIVE_CALL, f"the text of an object of type {type(value).__name__}")
    contents = list(list.__iter__(value)) if base is list else dict(dict.items(value))
    return tracer.native(repr, stringable(tracer, contents))


HANDLERS: dict[Any, Any] = {str: _call_str, repr: _call_repr, ascii: _call_ascii, format: _call_format}
