"""Errors speak of the op that was called and its arguments, not of the ops it is made of.

`x.index_select(0, i)` is `index(x, i)` underneath, whose "x[...]: index 9 is out of bounds ..." becomes
"index_select(input: f32[3, 4], dim=0, index: i64[2]): index 9 is out of bounds ...". `Definition.__call__`, which every
call passes, sees to it: the innermost op says what is wrong, the outermost one where.

Functions that are more than one op, and ops to who calls them, stand in modules that say `NAMES_ERRORS = True`. They
are plain functions, which capture reads, so they are found on the stack of the op that fails.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from tracegraph.errors import (
    ArgumentError,
    DTypeError,
    ElementError,
    IndexRangeError,
    MissingRuleError,
    ShapeError,
    TracegraphError,
    UndecidableError,
    ValueRangeError,
)
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.providers import provided

#: errors in how an op was called, or in what it was called with
CALL_ERRORS = (
    ShapeError,
    DTypeError,
    ArgumentError,
    ValueRangeError,
    IndexRangeError,
    ElementError,
    MissingRuleError,
    UndecidableError,
)
#: what messages call the op of each name; definitions add themselves
TITLES: dict[str, str] = {}
_TITLE = re.compile(r"([^:(]+)(?=[:(])")
#: what may stand between title and complaint: the operands of the inner op
_TOLD = re.compile(r"(\([^()]*\))?: ")
_LIBRARY = __name__.partition(".")[0] + "."
#: a message lists so many tensors of a list, and so much of a value
_FIRST, _LONGEST = 4, 40


def name_call(error: TracegraphError, title: str, arguments: Mapping[str, object]) -> None:
    """Let the message of `error`, raised within a call of the op `title`, speak of that call."""
    message = str(error)
    named = _TITLE.match(message)
    found = named[1] if named is not None and named[1] in TITLES else None
    if found is not None and TITLES[found] == title:
        error.args = (title + message[len(found) :],)
        return
    if isinstance(error, UndecidableError):  # names its operands, and knows which sizes are the question
        if found is not None:
            error.args = (title + message[len(found) :],)
        return
    if error.complaint is None:
        told = _TOLD.match(message, len(found)) if found is not None else None
        error.complaint = message[told.end() :] if told is not None else message
    error.args = (f"{title}({', '.join(_described(n, v) for n, v in arguments.items())}): {error.complaint}",)


def enclosing_function() -> tuple[str, dict[str, object]] | None:
    """Name and arguments of the outermost function between here and the program that speaks for the ops it calls."""
    frame: FrameType | None = sys._getframe(1)
    found: FrameType | None = None
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_LIBRARY):
        if frame.f_globals.get("NAMES_ERRORS") and not frame.f_code.co_name.startswith("_"):
            found = frame
        frame = frame.f_back
    if found is None:
        return None
    function = found.f_globals[found.f_code.co_name]
    given = found.f_locals if found.f_code is function.__code__ else provided("arguments_of_driver")(found, function)
    if given is None:
        return None
    defaults = ((name, p.default) for name, p in inspect.signature(function).parameters.items())
    return function.__name__, {name: given[name] for name, default in defaults if given[name] is not default}


def rename(error: TracegraphError, old: str, new: str) -> None:
    """Let the message of `error` say `new` where it begins with the op `old`: the in-place form of the same call."""
    message = str(error)
    named = _TITLE.match(message)
    if named is not None and named[1] == old:
        error.args = (new + message[len(old) :],)


def _described(name: str, value: object) -> str:
    if name.isdigit():  # one that the signature does not have
        return _type(value) if is_tensor(value) else _text(value)
    return f"{name}: {_type(value)}" if is_tensor(value) else f"{name}={_text(value)}"


def _type(tensor: object) -> str:
    dtype, shape = tensor.dtype, tensor.shape  # type: ignore[attr-defined]
    return f"{dtype.name}[{', '.join(map(str, shape))}]"


def _text(value: object) -> str:
    if isinstance(value, Sequence) and any(map(is_tensor, value)):
        listed = [_type(v) if is_tensor(v) else _text(v) for v in value[:_FIRST]]
        return f"[{', '.join(listed)}{', ...' if len(value) > _FIRST else ''}]"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
