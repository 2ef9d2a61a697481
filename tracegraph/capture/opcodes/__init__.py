"""Handlers of the canonical instructions, by family; each is called `op_` and the instruction's name."""

from __future__ import annotations

from tracegraph.capture.opcodes import (
    calls,
    class_bodies,
    containers,
    control_flow,
    exception_groups,
    exceptions,
    formatting,
    functions,
    generators,
    names,
    operators,
    refusals,
    stack,
)
from tracegraph.capture.trace.frame import HANDLERS

_FAMILIES = (
    stack,
    names,
    operators,
    containers,
    control_flow,
    calls,
    functions,
    class_bodies,
    exceptions,
    exception_groups,
    generators,
    formatting,
    refusals,
)


def install() -> None:
    """Fill the table of handlers."""
    for family in _FAMILIES:
        HANDLERS.update({n.removeprefix("op_"): f for n, f in vars(family).items() if n.startswith("op_")})
