"""Whether this thread is tracing: asked by `is_compiling`, and by compiled functions that a trace calls natively."""

from __future__ import annotations

from tracegraph.settings import ThreadStack, pushed

#: the traces being made on this thread
_TRACES = ThreadStack.register()


def is_tracing() -> bool:
    """Whether a trace is being made on this thread."""
    return bool(_TRACES.stack)


def tracing() -> pushed:
    """A trace is made inside the block."""
    return _TRACES.pushed(None)
