"""A line search for the strong Wolfe conditions (Nocedal & Wright, Numerical Optimization, algorithms 3.5 and 3.6).

Steps are tried at the minimum of the cubic through two points and their slopes, kept away from the ends of the
bracket as in minFunc (Schmidt, 2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tracegraph.tensor import Tensor

#: sufficient decrease, and the share of the slope that may be left
_DECREASE, _CURVATURE = 1e-4, 0.9


@dataclass(frozen=True)
class Point:
    """The objective at one step along the direction.

    Attributes:
        slope: its derivative along the direction.
    """

    step: float
    loss: float
    gradient: Tensor
    slope: float


class WolfeSearch:
    """One search from `start` (step 0).

    Args:
        at: the point at a step.
        extent: the largest element of the direction; a bracket of less than `tolerance` is not refined.
        limit: how many further points may be tried after the first.
    """

    def __init__(self, at: Callable[[float], Point], start: Point, extent: float, tolerance: float, limit: int) -> None:
        self.start = start
        self.extent = extent
        self.tolerance = tolerance
        self.limit = limit
        #: points tried so far
        self.tried = 0
        self._at = at

    def run(self, step: float) -> Point:
        """A point that fulfils the conditions, tried from `step` on; where none is found, the best there is."""
        previous, point = self.start, self._try(step)
        while self.tried <= self.limit:
            if self._is_too_far(point) or (self.tried > 2 and point.loss >= previous.loss):
                return self._refine([previous, point])
            if self._is_flat(point):
                return point
            if point.slope >= 0:
                return self._refine([previous, point])
            beyond = point.step + 0.01 * (point.step - previous.step), 10 * point.step
            previous, point = point, self._try(cubic_minimum(previous, point, *beyond))
        return min(self.start, point, key=lambda p: p.loss)

    def _refine(self, bracket: list[Point]) -> Point:
        """Narrow a bracket that holds a step of the kind wanted."""
        is_slow = False
        low = 0 if bracket[0].loss <= bracket[1].loss else 1
        while self.tried <= self.limit:
            first, last = sorted(p.step for p in bracket)
            if (last - first) * self.extent < self.tolerance:
                break
            step = cubic_minimum(bracket[0], bracket[1], first, last)
            margin = 0.1 * (last - first)
            is_near = min(last - step, step - first) < margin
            if is_near and (is_slow or step >= last or step <= first):
                step = last - margin if abs(step - last) < abs(step - first) else first + margin
                is_near = False
            is_slow = is_near
            point = self._try(step)
            if self._is_too_far(point) or point.loss >= bracket[low].loss:
                bracket[1 - low] = point
                low = 0 if bracket[0].loss <= bracket[1].loss else 1
                continue
            if self._is_flat(point):
                return point
            if point.slope * (bracket[1 - low].step - bracket[low].step) >= 0:
                bracket[1 - low] = bracket[low]
            bracket[low] = point
        return bracket[low]

    def _try(self, step: float) -> Point:
        self.tried += 1
        return self._at(step)

    def _is_too_far(self, point: Point) -> bool:
        """Whether the loss has not decreased enough; a loss that is nan has not."""
        return not point.loss <= self.start.loss + _DECREASE * point.step * self.start.slope

    def _is_flat(self, point: Point) -> bool:
        return abs(point.slope) <= -_CURVATURE * self.start.slope


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """The step at the minimum of the cubic through two points and their slopes, within [low, high]; the middle of
    these if there is none.
    """
    if a.step > b.step:
        a, b = b, a
    if a.step == b.step:
        return (low + high) / 2
    c = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.step - b.step)
    square = c * c - a.slope * b.slope
    root = math.sqrt(square) if square >= 0 else math.nan
    width = b.slope - a.slope + 2 * root
    found: Any = b.step - (b.step - a.step) * (b.slope + root - c) / width if width else math.nan
    return min(max(found, low), high) if math.isfinite(found) else (low + high) / 2
