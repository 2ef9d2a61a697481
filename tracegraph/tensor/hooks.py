"""Hooks of gradients: how they are kept by number, called, and removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PostAccumulate:
    """Among the hooks of a leaf, one that is called when `.grad` has been added to."""

    hook: Callable[[Any], None]


def hooked(hooks: dict[int, Any], gradient: Any) -> Any:
    """A gradient after all the hooks have seen it, and perhaps replaced it."""
    for hook in list(hooks.values()):
        if isinstance(hook, PostAccumulate):
            continue
        replaced = hook(gradient)
        gradient = gradient if replaced is None else replaced
    return gradient


def hooked_gradients(hooks: dict[int, Any], *gradients: Any) -> tuple[Any, ...]:
    """The same of each of several gradients."""
    return tuple([hooked(hooks, g) for g in gradients])


class RemovableHandle:
    """Handle of a registered hook; `remove()` takes it away again. Usable as a context manager."""

    _next = 0

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        RemovableHandle._next += 1
        self.id = RemovableHandle._next
        self._hooks = hooks
        hooks[self.id] = hook

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
