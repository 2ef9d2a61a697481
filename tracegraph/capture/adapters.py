"""Wrappers that let C code call back into the trace: `map(f, xs)` runs natively over `CallableAdapter(f)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegraph.capture.values import STAND_INS, Observed

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer


class CallableAdapter:
    """Calls a function of the traced program symbolically when C code calls it."""

    def __init__(self, tracer: Tracer, function: Any) -> None:
        self._tracer = tracer
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from tracegraph.capture.calls import call

        try:
            return call(self._tracer, self.function, args, kwargs)
        except Observed as observed:
            raise observed.exception from None


class IteratorAdapter:
    """Advances an iterator of the traced program symbolically when C code asks for its next item."""

    def __init__(self, tracer: Tracer, iterator: Any) -> None:
        self._tracer = tracer
        self.iterator = iterator

    def __iter__(self) -> IteratorAdapter:
        return self

    def __next__(self) -> Any:
        from tracegraph.capture.operators import advance

        try:
            return advance(self._tracer, self.iterator)
        except Observed as observed:
            raise observed.exception from None


STAND_INS[CallableAdapter] = None
STAND_INS[IteratorAdapter] = None
