"""Tracebacks without the frames that run drivers: what is left is what eager execution shows.

With TRACEGRAPH_FULL_TRACEBACK=1 in the environment they show every frame.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType

from tracegraph.errors import CompileError, TracegraphError
from tracegraph.ir.user_line import users_lines

_MACHINERY = str(Path(__file__).parents[1])


def hide_machinery(error: BaseException) -> None:
    """Take the frames of this package out of an exception's traceback, up to the innermost frame of another one.

    Frames behind that one stay: an error that arises in the package shows where.
    """
    if _shows_all():
        return
    entries = list(_entries(error.__traceback__))
    others = [i for i, entry in enumerate(entries) if not is_machinery(entry.tb_frame)]
    if not others:
        return
    following = entries[others[-1]].tb_next
    for position in reversed(others):
        entries[position].tb_next = following
        following = entries[position]
    error.__traceback__ = following


def hide_frames_of(file: str, error: BaseException) -> None:
    """Take the frames of one file of this package off the beginning of an exception's traceback."""
    entry = error.__traceback__
    while entry is not None and entry.tb_frame.f_code.co_filename == file:
        entry = entry.tb_next
    if not _shows_all():
        error.__traceback__ = entry


def _shows_all() -> bool:
    return os.environ.get("TRACEGRAPH_FULL_TRACEBACK", "0") not in ("", "0")


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def is_machinery(frame: FrameType) -> bool:
    """Whether a frame runs code of this package, not a driver."""
    return frame.f_code.co_filename.startswith(_MACHINERY)


def is_of_an_op(error: BaseException) -> bool:
    """Whether an exception that leaves a graph was raised by one of its operations, not by the backend."""
    if isinstance(error, CompileError):
        return False
    return isinstance(error, TracegraphError) or bool(users_lines(error))
