"""How long the stages of the compiler took in this process, and the report of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal, overload

from tracegraph.errors import OptionError


@dataclass
class StageTimes:
    """Seconds per run of a stage, in order."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, stage: str, seconds: float) -> None:
        """Add one run of a stage."""
        with self._lock:
            self.seconds.setdefault(stage, []).append(seconds)

    def totals(self) -> dict[str, float]:
        """Seconds per stage, all runs together."""
        with self._lock:
            return {stage: sum(runs) for stage, runs in self.seconds.items()}

    def clear(self) -> None:
        with self._lock:
            self.seconds.clear()


#: of the whole process since it began, or since `reset`
PROCESS = StageTimes()


@overload
def compile_times(repr: Literal["str"] = "str", aggregate: bool = False) -> str: ...
@overload
def compile_times(repr: Literal["csv"], aggregate: bool = False) -> tuple[list[str], list[list[str]]]: ...
def compile_times(repr: str = "str", aggregate: bool = False) -> str | tuple[list[str], list[list[str]]]:
    """Seconds that every stage of the compiler took since the process began, or since `reset`.

    The stage `backend` is all that follows capture; the stages from `functionalise` on are its parts.

    Args:
        repr: "str" for a table to print; "csv" for (names, rows), rows with one entry per run of the stage.
        aggregate: one number per stage instead of one per run.

    Raises:
        OptionError: no such representation.
    """
    columns = {stage: [sum(runs)] if aggregate else list(runs) for stage, runs in PROCESS.seconds.items()}
    texts = {stage: [f"{s:.4f}" for s in runs] for stage, runs in columns.items()}
    if repr == "csv":
        return list(texts), list(texts.values())
    if repr != "str":
        raise OptionError(f"compile_times(repr={repr!r}): one of 'str', 'csv'")
    width = max([len("stage"), *map(len, texts)])
    rows = [f"{stage:<{width}}  {', '.join(runs)}" for stage, runs in texts.items()]
    return "\n".join([f"{'stage':<{width}}  seconds", *rows])
