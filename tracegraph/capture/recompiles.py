"""Recompiles: what is kept of a call that fitted no trace, in words only, so that no argument is kept alive."""

from __future__ import annotations

import types
from dataclasses import dataclass

from tracegraph.capture.guards.failures import Failure
from tracegraph.capture.guards.user_terms import full_place
from tracegraph.ir import Location


@dataclass(frozen=True)
class FailedGuard:
    """A guard that did not hold.

    Attributes:
        guard: the condition, in the terms of the user's program.
        was: what the trace had found.
        now: what the call brought.
        location: the user's line that made the trace depend on it.
    """

    guard: str
    was: str
    now: str
    location: Location | None

    def __str__(self) -> str:
        place = f" (used at {full_place(self.location)})" if self.location is not None else ""
        return f"{self.guard} failed: {self.was}, now {self.now}{place}"


@dataclass(frozen=True)
class Recompile:
    """One recompile of a function.

    Attributes:
        function: its qualified name.
        location: where it is defined.
        failed: per trace it had, newest first, the guard that did not hold.
    """

    function: str
    location: Location
    failed: tuple[FailedGuard, ...]

    def __str__(self) -> str:
        return self.told("is")

    def told(self, verb: str) -> str:
        """The message; with the verb "would be", of a recompile that a setting forbids."""
        return f"{self.function} ({full_place(self.location)}) {verb} compiled again:\n{self.failures()}"

    def failures(self) -> str:
        """The guards that did not hold, one a line, with the traces they belong to."""
        if len(self.failed) == 1:
            return f"  {self.failed[0]}"
        traces: dict[str, list[int]] = {}
        for number, guard in zip(range(len(self.failed), 0, -1), self.failed, strict=True):
            traces.setdefault(str(guard), []).append(number)
        return "\n".join(f"  {_numbered(numbers)}: {guard}" for guard, numbers in traces.items())


def _numbered(traces: list[int]) -> str:
    """Traces as a message names them, counted from the oldest."""
    return f"trace {traces[0]}" if len(traces) == 1 else f"traces {', '.join(map(str, traces))}"


def failed_guard(failure: Failure) -> FailedGuard:
    """The words of a failure."""
    return FailedGuard(str(failure.guard), failure.was, failure.now, failure.guard.location)


def definition_of(code: types.CodeType) -> Location:
    """The line on which a function is defined."""
    return Location(code.co_filename, code.co_firstlineno)
