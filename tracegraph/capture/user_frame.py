"""Warnings that point at the user's code, however deep in the package they arise."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

# contextlib stands between two frames of ours wherever a context manager decorates a function
_PASSED_OVER = frozenset({__name__.partition(".")[0], "contextlib"})


def warn_user(message: str) -> None:
    """Give a RuntimeWarning that points at the innermost call into the package.

    At the outermost frame if all belong to the package (`python -m tracegraph`).
    """
    level = 1
    frame = sys._getframe()
    while _is_passed_over(frame) and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, RuntimeWarning, stacklevel=level)


def _is_passed_over(frame: FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0] in _PASSED_OVER
