"""What an UndecidableError says: the op and the operands whose sizes it asked about, and the user's line.

`view(%x: f32[s0, 4]): cannot decide whether 4*s0 == 16, which depends on s0; ...`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracegraph.errors import UndecidableError
from tracegraph.ir.graph import Location
from tracegraph.ir.user_line import note_location


def name_operands(error: UndecidableError, op: str, operands: Sequence[Any]) -> None:
    """Let the message begin with the call that asked, and note its line; the innermost call is the one named."""
    if error.is_named:
        return
    error.is_named = True
    error.args = (f"{op}({', '.join(map(_text, operands))}): {error}",)
    places = (_location(operand) for operand in operands)
    note_location(error, next((place for place in places if place is not None), None))


def _text(operand: Any) -> str:
    value = getattr(operand, "value", operand)
    if not hasattr(value, "dtype"):
        return repr(operand)
    name = getattr(getattr(value, "node", None), "name", "")
    text = f"{value.dtype.name}[{', '.join(map(str, value.shape))}]"
    return f"%{name}: {text}" if name else text


def _location(operand: Any) -> Location | None:
    """The line for which a handle's graph is being built."""
    return getattr(getattr(operand, "builder", None), "location", None)
