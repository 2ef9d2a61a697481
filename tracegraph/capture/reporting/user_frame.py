"""The user's frame: the innermost call into the package, at which warnings and messages point."""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import Any

from tracegraph.capture.reporting.tracebacks import is_machinery
from tracegraph.ir import Location

# contextlib stands between two frames of ours wherever a context manager decorates a function
_PASSED_OVER = frozenset({__name__.partition(".")[0], "contextlib"})


def warn_user(message: str) -> None:
    """Give a RuntimeWarning that points at the innermost call into the package.

    At the outermost frame if all belong to the package (`python -m tracegraph`).
    """
    level = 1
    frame = sys._getframe()
    while is_passed_over(frame.f_globals) and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, RuntimeWarning, stacklevel=level)


def calling_line() -> Location | None:
    """The user's line of the innermost call into the package; None if all frames belong to the package."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and is_passed_over(frame.f_globals):
        frame = frame.f_back
    return Location(frame.f_code.co_filename, frame.f_lineno) if frame is not None else None


def is_passed_over(namespace: dict[str, Any]) -> bool:
    """Whether code with these globals is not the user's: it stands between the package and its caller."""
    name: str = namespace.get("__name__", "")
    return name.partition(".")[0] in _PASSED_OVER


def warn_for_program(message: Any, category: Any = None, stacklevel: int = 1, *args: Any, **kwargs: Any) -> None:
    """`warnings.warn` as drivers call it: frames that run drivers do not count for `stacklevel`."""
    level, left = 1, stacklevel
    frame: FrameType | None = sys._getframe()
    while left > 0 and frame is not None and (frame := frame.f_back) is not None:
        level += 1
        left -= not is_machinery(frame)
    warnings.warn(message, category, level + max(left, 0), *args, **kwargs)
