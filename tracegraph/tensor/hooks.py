"""Handles of registered hooks."""

from __future__ import annotations

from typing import Any


class RemovableHook:
    """Handle of a registered hook; `remove()` takes it away again. Usable as a context manager."""

    _next = 0

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        RemovableHook._next += 1
        self.id = RemovableHook._next
        self._hooks = hooks
        hooks[self.id] = hook

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHook:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
