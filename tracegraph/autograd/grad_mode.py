"""Whether operations are recorded: a switch per thread, and the context managers that set it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _State(threading.local):
    enabled = True


STATE = _State()


def is_grad_enabled() -> bool:
    """Whether operations on this thread are recorded for `backward`."""
    return STATE.enabled


class set_grad_enabled:
    """Set grad mode; takes effect at once, and as a context manager restores the former mode on exit."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self._previous = [STATE.enabled]
        STATE.enabled = self.mode

    def __enter__(self) -> None:
        STATE.enabled = self.mode

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        STATE.enabled = self._previous[-1]

    def __call__(self, function: F) -> F:
        STATE.enabled = self._previous[-1]
        return _wrap(function, self.mode)


class _FixedMode:
    """Context manager and decorator that sets grad mode to `mode`; re-entrant."""

    mode = True

    def __new__(cls, function: Any = None) -> Any:
        return _wrap(function, cls.mode) if callable(function) else super().__new__(cls)

    def __init__(self) -> None:
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(STATE.enabled)
        STATE.enabled = self.mode

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        STATE.enabled = self._previous.pop()

    def __call__(self, function: F) -> F:
        return _wrap(function, self.mode)


class no_grad(_FixedMode):
    """Do not record operations inside the block or the decorated function."""

    mode = False


class enable_grad(_FixedMode):
    """Record operations inside the block or the decorated function."""

    mode = True


class inference_mode(_FixedMode):
    """As `no_grad`."""

    mode = False


def _wrap(function: F, mode: bool) -> F:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        previous = STATE.enabled
        STATE.enabled = mode
        try:
            return function(*args, **kwargs)
        finally:
            STATE.enabled = previous

    return run  # type: ignore[return-value]
