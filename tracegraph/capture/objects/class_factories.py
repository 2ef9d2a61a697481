"""Functions of the standard library that make classes: `namedtuple`, `Enum("Mode", "ON OFF")`, `make_dataclass`.

They run as they are, where they are given constants and types; what they make belongs to the trace, like the class of
a class statement.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import is_constant, is_varying
from tracegraph.capture.trace.made_classes import MadeClass
from tracegraph.capture.trace.namespaces import namespace
from tracegraph.capture.trace.safety import flatten, with_values

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def call_factory(tracer: Tracer, function: types.FunctionType, args: Args, kwargs: Kwargs) -> type:
    """`namedtuple(...)`, `NamedTuple(...)`, `make_dataclass(...)`.

    Raises:
        Observed: the names are not fit for a class.
        Break: an argument is something other than constants, types and fields, or the class has bases.
    """
    if kwargs.get("bases") or kwargs.get("namespace"):
        raise Break(reasons.NATIVE_CALL, f"{function.__name__}() with bases or a namespace")
    return _made(tracer, function, args, kwargs, "module" in (function.__kwdefaults__ or {}))


def is_enum_factory(cls: type, args: Args) -> bool:
    """Whether `cls(*args)` makes an Enum: that of a class of the standard library, with names."""
    return cls.__module__ == "enum" and issubclass(cls, enum.Enum) and len(args) > 1


def call_enum_factory(tracer: Tracer, cls: type[enum.Enum], args: Args, kwargs: Kwargs) -> type:
    """`Enum("Mode", "ON OFF")`, and the same of IntEnum, StrEnum, Flag and IntFlag.

    Raises:
        Observed: the names are not fit for an Enum.
        Break: an argument is something other than constants and types.
    """
    return _made(tracer, cls, args, kwargs, True)


def _made(tracer: Tracer, factory: Any, args: Args, kwargs: Kwargs, takes_module: bool) -> type:
    if not all(map(_is_fixed, flatten((args, kwargs)))):
        raise Break(reasons.NATIVE_CALL, f"{factory.__name__}() of something other than constants and types")
    given = {k: with_values(tracer, v) for k, v in kwargs.items()}
    if takes_module and "module" not in given:
        given["module"] = _caller(tracer)
    args = tuple(with_values(tracer, a) for a in args)
    cls: type = tracer.fresh(tracer.native(factory, *args, **given))
    if factory is typing.NamedTuple:
        cls.__module__ = _caller(tracer)
    tracer.made_classes[cls] = MadeClass(cls, factory, args, given)
    return cls


def _is_fixed(value: Any) -> bool:
    return is_constant(value) or is_varying(value) or isinstance(value, type | dataclasses.Field)


def _caller(tracer: Tracer) -> Any:
    """The name of the module whose code is running."""
    variables = tracer.frames[-1].namespace
    if sys.version_info >= (3, 12):  # the function knows it
        return variables.get("__name__", "__main__")
    return namespace(tracer, variables).get("__name__", "__main__")


#: handlers by code
BY_CODE: dict[types.CodeType, Callable[[Any, Any, Args, Kwargs], Any]] = {
    f.__code__: call_factory
    for f in (collections.namedtuple, typing.NamedTuple, dataclasses.make_dataclass)
    if isinstance(f, types.FunctionType)
}
