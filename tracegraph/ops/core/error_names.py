"""Errors speak of the op that was called, not of the ops it is made of.

`reshape(x, 7)` calls `view(x, 7)`, whose "view: shape [7] is invalid ..." becomes "reshape: shape [7] is ...".
"""

from __future__ import annotations

import re

from tracegraph.errors import ArgumentError, DTypeError, ShapeError, TracegraphError, UndecidableError, ValueRangeError
from tracegraph.ir.op import REGISTRY

#: errors in how an op was called. What elements make go wrong keeps the name of the op that reads them: in a captured
#: graph, where that op stands alone, the message must be the same
CALL_ERRORS = (ShapeError, DTypeError, ArgumentError, ValueRangeError, UndecidableError)
_NAME = re.compile(r"(\w+)(?=[:(])")


def name_after(error: TracegraphError, op: str) -> None:
    """Let the message of `error`, which an op inside `op` raised, begin with the name `op`."""
    message = str(error)
    inner = _NAME.match(message)
    if inner is not None and inner[1] in REGISTRY:
        error.args = (op + message[inner.end() :],)
