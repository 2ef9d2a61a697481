"""Every op as a function, by name or alias: `functional.exp(x)`, `functional.cat([a, b], dim=0)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracegraph.errors import IRError
from tracegraph.ir import lookup
from tracegraph.ops.definition import ALIASES


def __getattr__(name: str) -> Callable[..., Any]:
    if name in ALIASES:
        return ALIASES[name]
    try:
        return lookup(name)  # type: ignore[return-value]
    except IRError as e:
        raise AttributeError(str(e)) from None
