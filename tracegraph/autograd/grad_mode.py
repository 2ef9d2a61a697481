"""Whether operations are recorded: a switch per thread, and the context managers that set it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from tracegraph.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


class _State(Settings, threading.local):
    """Of a thread: grad mode (`enabled`, which graphs show and capture therefore follows in a way of its own), and
    whether that is because of `inference_mode`.
    """

    questions = {"inference": "is_inference_mode_enabled()"}
    enabled: bool = True
    inference: bool = False


STATE = _State.register()


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


class inference_mode:
    """As `no_grad`, and `is_inference_mode_enabled` says so; `inference_mode(False)` as `enable_grad`.

    The tensors made inside are ordinary ones: unlike PyTorch's they may be used in grad mode later.
    """

    def __new__(cls, mode: Any = True) -> Any:
        return cls()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        self.mode = bool(mode)
        self._previous: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._previous.append((STATE.enabled, STATE.inference))
        STATE.enabled = not self.mode
        STATE.inference = self.mode

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        enabled, inference = self._previous.pop()
        STATE.enabled = enabled
        STATE.inference = inference

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]


def is_inference_mode_enabled() -> bool:
    """Whether this thread is in `inference_mode`."""
    return STATE.inference


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
