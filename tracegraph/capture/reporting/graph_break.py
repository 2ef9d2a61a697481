"""A graph break: what the symbolic machine raises where it meets something that it cannot put into a graph.

What happens next is the business of `session` (restart up to the breaking instruction) and `drivers` (run it natively,
then continue).
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from tracegraph.capture.reporting.break_reasons import REASONS
from tracegraph.ir import Location


class Extent(Enum):
    """How much of the function a break takes out of the graph."""

    INSTRUCTION = "that instruction runs eagerly, the rest is captured"
    REST = "the rest of the function runs eagerly"
    FRAME = "the whole function runs eagerly"


class Break(BaseException):
    """Symbolic execution cannot go on at this instruction.

    A BaseException, so that no `except Exception` of library code running natively under the trace swallows it.
    """

    def __init__(self, reason: str, detail: str, extent: Extent = Extent.INSTRUCTION) -> None:
        super().__init__(f"{REASONS[reason].explanation} ({detail})")
        self.reason = REASONS[reason]
        self.detail = detail
        self.extent = extent
        #: innermost line of the user's program, set by the frame that sees the break first
        self.location: Location | None = None
        #: the break happened inside a Python callee that was being inlined, or is at one that calls what is compiled
        self.is_inside_callee = False
        #: the graph ends earlier, where something was made that cannot be carried over the break
        self.is_early = False
        #: a guard (kind, source, expected) on what may cease to break: the trace that ends here holds only as long
        self.until: tuple[Any, Any, Any] | None = None

    def is_same(self, other: Break) -> bool:
        """Whether both are about one thing in one place."""
        return (self.reason, self.detail, self.location) == (other.reason, other.detail, other.location)

    def describe(self) -> str:
        """The message users read of a break: reason, line, detail, what runs eagerly, and hint."""
        return f"{self._cause()} So {self.extent.value}. Hint: {self.reason.hint}"

    def describe_refused(self) -> str:
        """The message where a break is an error, so that nothing runs: reason, line, detail and hint."""
        return f"{self._cause()} Hint: {self.reason.hint}"

    def _cause(self) -> str:
        where = f" at {self.location.file}:{self.location.line}" if self.location else ""
        return f"{self.reason.id}{where}: {self.detail}. {self.reason.explanation}"
