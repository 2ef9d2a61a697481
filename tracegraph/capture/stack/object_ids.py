"""`id()` in the trace: a number that nobody knows yet, fit for what programs do with ids.

It compares, hashes and serves as a key like the id of its object, and is computed anew where it outlives the trace.
Anything that needs its digits breaks the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import STAND_INS


class ObjectId:
    """The id of `object`."""

    def __init__(self, object: Any) -> None:
        self.object = object

    def __eq__(self, other: object) -> Any:
        return self.object is other.object if isinstance(other, ObjectId) else _refuse(self)

    def __hash__(self) -> int:
        return id(self.object)

    def __bool__(self) -> bool:
        return True


def _refuse(number: ObjectId, *args: Any) -> NoReturn:
    raise Break(reasons.NATIVE_CALL, f"the value of id() of an object of type {type(number.object).__name__}")


_OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "divmod", "and", "or", "xor", "lshift",
              "rshift")  # fmt: skip
_REFUSED: tuple[str, ...] = (
    *(f"__{prefix}{name}__" for name in _OPERATORS for prefix in ("", "r")),
    *(f"__{name}__" for name in ("lt", "le", "gt", "ge", "neg", "pos", "abs", "invert", "int", "float", "index",
                                 "str", "repr", "format", "round", "getattr")),
)  # fmt: skip
for _name in _REFUSED:
    _method: Callable[..., NoReturn] = _refuse
    setattr(ObjectId, _name, _method)

STAND_INS[ObjectId] = int


class ThreadId(ObjectId):
    """The id of the running thread."""

    def __init__(self) -> None:
        super().__init__(_THREAD)


_THREAD = object()
STAND_INS[ThreadId] = int
