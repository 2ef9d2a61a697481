"""Every op as a function, by name or alias: `functional.exp(x)`, `functional.cat([a, b], dim=0)`.

In-place methods are functions, too: `functional.relu_(x)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracegraph.errors import IRError
from tracegraph.ir import lookup
from tracegraph.ops.core.definition import ALIASES


def __getattr__(name: str) -> Callable[..., Any]:
    if name in ALIASES:
        return ALIASES[name]
    if name.startswith("__"):  # what introspection asks of any module: no op's name, and not worth a suggestion
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return lookup(name)  # type: ignore[return-value]
    except IRError as e:
        in_place = _in_place(name)
        if in_place is None:
            raise AttributeError(str(e)) from None
        return in_place


def _in_place(name: str) -> Callable[..., Any] | None:
    """The in-place method of an op, called `name`."""
    from tracegraph.ops.handles.methods import TensorMethods

    return vars(TensorMethods).get(name) if name.endswith("_") and not name.endswith("__") else None
