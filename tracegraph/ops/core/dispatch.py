"""The dispatch point: a table from operand type to handler.

Calling an op finds the handler of its operands' type with the highest rank and hands it `(op, operands, attrs)`.
Eager tensors, graph handles and whatever comes later register a handler each; nothing here knows them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.errors import ArgumentError
from tracegraph.settings import ThreadStack, pushed

if TYPE_CHECKING:
    from tracegraph.ops.core.definition import Definition

Handler = Callable[["Definition", tuple[Any, ...], dict[str, Any]], Any]

_MISSING: tuple[int, None] = (-1, None)
#: numbers stand in the table too, without a handler: they are met as often as tensors
_HANDLERS: dict[type, tuple[int, Handler | None]] = dict.fromkeys((bool, int, float, type(None)), _MISSING)


def register_handler(operand_type: type, handler: Handler, rank: int) -> None:
    """Let `handler` execute ops with an operand of `operand_type` or a subclass; the highest rank wins."""
    _HANDLERS[operand_type] = (rank, handler)


def _inherited(operand_type: type) -> tuple[int, Handler | None]:
    """The entry of the nearest base class; remembered if it has a handler."""
    for base in operand_type.__mro__[1:]:
        found = _HANDLERS.get(base, _MISSING)
        if found is not _MISSING:
            _HANDLERS[operand_type] = found
            return found
    return _MISSING


#: handlers of ops without tensor operands; recording contexts push theirs
_CREATION = ThreadStack.register()
_default_creation: list[Handler] = []


def set_default_creation(handler: Handler) -> None:
    """The handler of operand-less ops outside any recording context."""
    _default_creation[:] = [handler]


def creation(handler: Handler) -> pushed:
    """Let `handler` execute ops without tensor operands inside the block, on this thread."""
    return _CREATION.pushed(handler)


def creation_handler() -> Handler:
    """The handler that ops without tensor operands have now.

    Raises:
        ArgumentError: there is none.
    """
    stack = _CREATION.stack or _default_creation
    if not stack:
        raise ArgumentError("no tensor library is loaded")
    found: Handler = stack[-1]
    return found


def dispatch(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """Execute `op` with the handler its operands call for."""
    rank: int = -1
    handler: Handler | None = None
    for operand in operands:
        kind = type(operand)
        candidate = _HANDLERS.get(kind) or _inherited(kind)
        if candidate[0] > rank:
            rank, handler = candidate
    if handler is None:
        if any(o is not None and not isinstance(o, bool | int | float) for o in operands) and not op.takes_scalars:
            types = ", ".join(type(o).__name__ for o in operands)
            raise ArgumentError(f"{op.name}: expected tensors, got ({types})")
        stack = _CREATION.stack or _default_creation
        if not stack:
            raise ArgumentError(f"{op.name} has no tensor operand and no tensor library is loaded")
        handler = stack[-1]
    return handler(op, operands, attrs)
