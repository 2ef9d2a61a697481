"""Compiling without the cycle collector running.

A compilation makes graphs by the thousand objects, nearly all of which live until it ends: a collection in between
walks over everything in the process and frees nothing.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Pauses:
    """How many blocks are inside, and whether the collector ran before the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._was_enabled = False

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._was_enabled:
                gc.enable()


_PAUSES = _Pauses()


@contextmanager
def paused_collection() -> Iterator[None]:
    """No automatic collection inside the block, on any thread; blocks may nest and overlap."""
    _PAUSES.enter()
    try:
        yield
    finally:
        _PAUSES.leave()
