"""What is raised for values of a trace that cannot outlive it."""

from __future__ import annotations

from typing import Any

from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import STAND_INS


class NotReconstructible(Exception):
    """A value cannot be rebuilt; `value` is the culprit, `stop` the break if it is not about an object."""

    def __init__(self, value: Any, stop: Break | None = None) -> None:
        cls = STAND_INS.get(type(value)) or type(value)
        super().__init__(f"class {value.__name__}" if cls is type else f"an object of type {cls.__name__}")
        self.value = value
        self.stop = stop
