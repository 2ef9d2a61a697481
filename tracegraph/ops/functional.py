"""Every op as a function: `functional.exp(x)`, `functional.cat([a, b], dim=0)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracegraph.errors import IRError
from tracegraph.ir import lookup


def __getattr__(name: str) -> Callable[..., Any]:
    try:
        return lookup(name)  # type: ignore[return-value]
    except IRError as e:
        raise AttributeError(str(e)) from None
