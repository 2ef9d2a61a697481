"""Whether this thread is tracing: asked by `is_compiling`, and by compiled functions that a trace calls natively."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tracegraph.settings import ThreadStack

#: the traces being made on this thread
_TRACES = ThreadStack.register()


def is_tracing() -> bool:
    """Whether a trace is being made on this thread."""
    return bool(_TRACES.stack)


@contextmanager
def tracing() -> Iterator[None]:
    """A trace is made inside the block."""
    _TRACES.stack.append(None)
    try:
        yield
    finally:
        _TRACES.stack.pop()
