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
    """The blocks that are inside, and whether the collector ran before the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: set[object] = set()
        self._was_enabled = False

    def enter(self, block: object) -> None:
        with self._lock:
            if not self._inside:
                self._was_enabled = gc.isenabled()
            self._inside.add(block)
            gc.disable()

    def leave(self, block: object) -> None:
        with self._lock:
            if self._inside == {block} and self._was_enabled:
                gc.enable()
            self._inside.discard(block)


_PAUSES = _Pauses()


@contextmanager
def paused_collection() -> Iterator[None]:
    """No automatic collection inside the block, on any thread; blocks may nest and overlap."""
    block = object()
    try:
        _PAUSES.enter(block)
        yield
    finally:
        _PAUSES.leave(block)
