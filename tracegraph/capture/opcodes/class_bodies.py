"""Class statements: names of the class body, which live in a namespace of their own."""

from __future__ import annotations

import builtins
from typing import Any

from tracegraph.capture.opcodes.names import cell_value, global_value
from tracegraph.capture.stack.values import Observed
from tracegraph.capture.trace.frame import Frame

_ABSENT = object()


def op_LOAD_BUILD_CLASS(frame: Frame, arg: object) -> None:
    frame.push(builtins.__build_class__)


def op_SETUP_ANNOTATIONS(frame: Frame, arg: object) -> None:
    _names(frame).setdefault("__annotations__", {})


def op_LOAD_LOCALS(frame: Frame, arg: object) -> None:
    frame.push(_names(frame))


def op_LOAD_NAME(frame: Frame, name: str) -> None:
    value = _names(frame).get(name, _ABSENT)
    frame.push(global_value(frame, name) if value is _ABSENT else value)


def op_STORE_NAME(frame: Frame, name: str) -> None:
    # an Enum's namespace may refuse the name
    frame.tracer.native(_names(frame).__setitem__, name, frame.pop())


def op_DELETE_NAME(frame: Frame, name: str) -> None:
    if name not in _names(frame):
        raise Observed(NameError(f"name {name!r} is not defined", name=name))
    del _names(frame)[name]


def op_LOAD_CLASSDEREF(frame: Frame, name: str) -> None:
    value = _names(frame).get(name, _ABSENT)
    frame.push(cell_value(frame, name) if value is _ABSENT else value)


def op_LOAD_FROM_DICT_OR_DEREF(frame: Frame, name: str) -> None:
    value = frame.pop().get(name, _ABSENT)
    frame.push(cell_value(frame, name) if value is _ABSENT else value)


def op_LOAD_FROM_DICT_OR_GLOBALS(frame: Frame, name: str) -> None:
    value = frame.pop().get(name, _ABSENT)
    frame.push(global_value(frame, name) if value is _ABSENT else value)


def _names(frame: Frame) -> dict[str, Any]:
    assert frame.names is not None
    return frame.names
