"""Whether this thread is tracing: asked by `is_compiling`, and by compiled functions that a trace calls natively."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Thread(threading.local):
    depth = 0


_THREAD = _Thread()


def is_tracing() -> bool:
    """Whether a trace is being made on this thread."""
    return _THREAD.depth > 0


@contextmanager
def tracing() -> Iterator[None]:
    """A trace is made inside the block."""
    _THREAD.depth += 1
    try:
        yield
    finally:
        _THREAD.depth -= 1
