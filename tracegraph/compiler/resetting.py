"""Back to the state in which nothing has been compiled."""

from __future__ import annotations

from tracegraph.capture.compiled_function import forget_everything
from tracegraph.compiler.compile_times import PROCESS


def reset() -> None:
    """Forget everything that was captured and compiled in this process, and the times it took.

    Compiled functions stay usable: each is captured anew when it is called next. Settings and the stance stay too.
    """
    forget_everything()
    PROCESS.clear()
