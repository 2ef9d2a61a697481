"""What a layer needs of one to its right, which it must not import: the package says where it is found.

`Module.compile` is the case: modules know nothing of the compiler. `tracegraph/__init__.py` provides it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_PROVIDERS: dict[str, Callable[[], Any]] = {}


def provide(name: str, find: Callable[[], Any]) -> None:
    """Say how the object called `name` is found when it is first asked for."""
    _PROVIDERS[name] = find


def provided(name: str) -> Any:
    """The object called `name`."""
    return _PROVIDERS[name]()
