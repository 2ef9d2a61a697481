"""Anomaly detection: which line of forward computed what backward cannot differentiate."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.errors import AutogradError
from tracegraph.ir import Location
from tracegraph.ir.user_line import source_line
from tracegraph.ops.graphs.graph_module import running_location
from tracegraph.settings import Settings

if TYPE_CHECKING:
    from tracegraph.autograd.tape import Node


class _Detection(Settings):
    """Of the process: whether nodes of the tape remember where they come from, and gradients are looked at."""

    questions = {"enabled": "is_anomaly_enabled()", "check_nan": "is_anomaly_check_nan_enabled()"}
    enabled: bool = False
    check_nan: bool = True


DETECTION = _Detection.register()


class set_detect_anomaly:
    """Turn anomaly detection on or off; as a context manager, until the end of the block.

    While it is on, every node of the tape remembers the line it was recorded on, and compiled graphs run op by op.
    Backward then raises AutogradError where a gradient becomes nan, and names that line. Slow: for debugging.

    Args:
        check_nan: whether to look for nan; without it, only errors of backward name the forward line.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._previous = (DETECTION.enabled, DETECTION.check_nan)
        DETECTION.enabled, DETECTION.check_nan = bool(mode), bool(check_nan)

    def __enter__(self) -> None:
        """It is on since it was made."""

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        DETECTION.enabled, DETECTION.check_nan = self._previous


class detect_anomaly:
    """`set_detect_anomaly(True)` for a block."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self._entered: list[set_detect_anomaly] = []

    def __enter__(self) -> None:
        self._entered.append(set_detect_anomaly(True, self.check_nan))

    def __exit__(self, *exception: Any) -> None:
        self._entered.pop().__exit__(*exception)


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return DETECTION.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection looks for nan."""
    return DETECTION.check_nan


# ------------------------------------------------------------------------------------------ at work


def forward_location() -> Location | None:
    """The line of the user's program that records a node now."""
    location = running_location()
    if location is not None:
        return location
    frame = sys._getframe(1)
    while frame is not None:
        if not (frame.f_globals.get("__name__") or "").startswith("tracegraph."):
            return Location(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def note_forward(error: BaseException, node: Node) -> None:
    """Add to an error of backward where its node was recorded."""
    if node.origin is not None:
        error.add_note(f"  in backward of {node.name}, recorded at {source_line(node.origin)}")


def check_gradients(node: Node, gradients: Sequence[Any]) -> None:
    """Refuse nan among the gradients that a node computed.

    Raises:
        AutogradError: names the node, the operand, and the line of forward.
    """
    if not DETECTION.check_nan:
        return
    for position, gradient in enumerate(gradients):
        if gradient is not None and np.isnan(gradient._np).any():
            place = (
                f"; it was recorded at {source_line(node.origin)}"
                if node.origin is not None
                else ("; anomaly detection was off when it was recorded, so that its line is not known")
            )
            raise AutogradError(
                f"Function '{node.name}' returned nan values in its {position}th output, the gradient of an operand of "
                f"shape {list(gradient.shape)}{place}"
            )
