"""Decimal numbers: what operators and methods make of them depends on the context of the thread."""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Reference

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def note_decimals(tracer: Tracer) -> None:
    """Guard the context: a decimal number is in the trace."""
    tracer.guards.add(GuardKind.CONSTANT, Computed(Reference(decimal_context), ()), decimal_context())


def decimal_context() -> tuple[Any, ...]:
    """Precision, rounding, limits and traps of the thread's context."""
    now = decimal.getcontext()
    traps = tuple(sorted(signal.__name__ for signal, is_set in now.traps.items() if is_set))
    return now.prec, now.rounding, now.Emin, now.Emax, now.capitals, now.clamp, traps
