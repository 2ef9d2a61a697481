"""What is captured: a function from its start, or from the instruction behind a graph break.

Both are the same thing here, a `Unit`: a code object, a position in it, and how the arguments of a call fill its
variables and its stack. A resumed function is traced on the *original* code, so resuming never nests.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from tracegraph.capture.reporting.user_frame import is_passed_over
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.stack.values import TUPLES
from tracegraph.capture.trace.functions import parameter_names
from tracegraph.nn.module import Module


@dataclass(frozen=True)
class Unit:
    """A place where execution of `code` may begin.

    Attributes:
        index: canonical instruction to begin at; 0 with `is_entry` for the function itself.
        names: variables that the first arguments fill, in order.
        stack: what lies on the stack: True for a value (the remaining arguments, in order), False for NULL.
        cells: names of the cells that a call provides.
        raises: begin by raising the last argument instead of executing the instruction.
        about: of a call of a Module, or what follows a break before one, its `forward`; of what a decorator of this
            package makes of a function, that function: each has units of its own.
    """

    code: types.CodeType
    namespace_id: int
    index: int = 0
    names: tuple[str, ...] = ()
    stack: tuple[bool, ...] = ()
    cells: tuple[str, ...] = ()
    is_entry: bool = True
    raises: bool = False
    about: types.CodeType | None = None

    @property
    def label(self) -> str:
        """A readable name, used for graphs and in messages."""
        return self.named(_name(self.users_code))

    @property
    def users_code(self) -> types.CodeType:
        """The code that the user wrote, where this is a wrapper around it."""
        return self.about if self.about is not None and is_wrapper(self.code) else self.code

    def named(self, name: str) -> str:
        """The label that the unit has if its function is called `name`."""
        return name if self.is_entry else f"{name}_resumed_at_{self.index}"

    def label_for(self, args: Sequence[Any]) -> str:
        """The label for a call with these arguments: what makes an object callable is named for its class."""
        if self.code.co_name != "__call__" or not args or self.names[:1] != ("self",):
            return self.label
        return self.named(type(args[0]).__name__)


def known_as(unit: Unit, args: Sequence[Any]) -> tuple[str, types.CodeType]:
    """By what name a user knows the unit called with these arguments, and the code that the user wrote for it.

    A call of a Module is known as the Module's class and `forward`.
    """
    forward = forward_of(unit.code, args) if unit.is_entry else None
    code = unit.users_code
    return (code.co_qualname, code) if forward is None else (type(args[0]).__qualname__, forward)


CALLS_OF_MODULES = (Module.__call__.__code__, Module._call_uncompiled.__code__)


def is_wrapper(code: types.CodeType) -> bool:
    """Whether calls of this code are about the function that it wraps, see `about`."""
    return id(code) in _WRAPPERS


def about(function: types.FunctionType, args: Sequence[Any]) -> types.CodeType | None:
    """What a call is about, see `Unit`; None if that is the function itself."""
    forward = forward_of(function.__code__, args)
    if forward is not None or not is_passed_over(function.__globals__):
        return forward
    inner: Any = function
    while isinstance(inner, types.FunctionType) and is_passed_over(inner.__globals__):
        inner = inner.__dict__.get("__wrapped__")
    if not isinstance(inner, types.FunctionType):
        return None
    _WRAPPERS[id(function.__code__)] = function.__code__
    return inner.__code__


#: the code of decorators, of this package or made with `contextlib`, that were met around functions of programs
_WRAPPERS: dict[int, types.CodeType] = {}


def forward_of(code: types.CodeType, args: Sequence[Any]) -> types.CodeType | None:
    """The code of `forward` of the Module among `args`, if `code` is how Modules are called."""
    forward = class_lookup(type(args[0]), "forward") if args and code in CALLS_OF_MODULES else None
    return forward.__code__ if isinstance(forward, types.FunctionType) else None


def forward_on_stack(unit: Unit, args: Sequence[Any]) -> types.CodeType | None:
    """The code of `forward` of the Module that lies on the stack of a resumed part, by itself or in a tuple: in a loop
    over Modules, the next.
    """
    for value in args[len(unit.names) :]:
        for item in value if type(value) in TUPLES else (value,):
            forward = class_lookup(type(item), "forward") if isinstance(item, Module) else None
            if isinstance(forward, types.FunctionType):
                return forward.__code__
    return None


def _name(code: types.CodeType) -> str:
    """The name of a function; a lambda is told from others by its line: `lambda_model_12`."""
    if code.co_name != "<lambda>":
        return code.co_name.strip("<>")
    return re.sub(r"\W", "_", f"lambda_{PurePath(code.co_filename).stem}_{code.co_firstlineno}")


def entry(function: types.FunctionType, about: types.CodeType | None = None) -> Unit:
    """The unit of a whole function."""
    code = function.__code__
    names = parameter_names(code)
    return Unit(code, id(function.__globals__), 0, names, (), code.co_freevars, about=about)


def spread(code: types.CodeType, bound: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Bound parameters as the (args, kwargs) of a call: the inverse of binding."""
    count = code.co_argcount
    args, kwargs = list(bound[:count]), {}
    position = count
    for name in code.co_varnames[count : count + code.co_kwonlyargcount]:
        kwargs[name] = bound[position]
        position += 1
    if code.co_flags & inspect.CO_VARARGS:
        args += bound[position]
        position += 1
    if code.co_flags & inspect.CO_VARKEYWORDS:
        kwargs |= bound[position]
    return tuple(args), kwargs
