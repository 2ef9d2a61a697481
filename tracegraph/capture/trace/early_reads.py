"""What a trace has read before its time: the Python state that a backward function or a hook reads.

It is traced when it is given, and eager execution calls it in backward. What it reads of the trace's own objects and
variables must therefore not change in between:

    for factor in (1, 2):
        h = layer(h)
        h.register_hook(lambda gradient: gradient * factor)     eager execution multiplies by 2 both times
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.trace.effects import Places
from tracegraph.capture.trace.mutation_watch import ContentsWatch

if TYPE_CHECKING:
    from tracegraph.capture.trace.frame import Frame


@dataclass(frozen=True)
class EarlyRead:
    """What was read: `what` it was that read it, what its objects held, and the places where it looked outside."""

    what: str
    watch: ContentsWatch
    places: Places


def check_early_reads(reads: list[EarlyRead], frame: Frame, is_complete: bool) -> None:
    """Require that what was read early is as it was, and stays so.

    Args:
        frame: the root frame, at the end of the trace.
        is_complete: whether the function has returned; else it goes on behind a graph break.

    Raises:
        Break: it has changed, or the rest of the function may assign to a variable among it.
    """
    setting = frame.tracer.backward_reads.changed_setting()
    if setting:
        raise Break(reasons.CUSTOM_GRADIENT, f"{setting}, asked in backward: the function changes it", Extent.FRAME)
    assigned = [] if is_complete else _assigned_later(frame)
    for read in reads:
        changed = read.watch.changed()
        if not changed and any(a is b for a in read.watch.cells for b in assigned):
            changed = "may change a variable"
        if not changed and frame.tracer.effects.are_written(read.places):
            changed = "writes to an attribute or a global variable"
        if changed:
            raise Break(reasons.CUSTOM_GRADIENT, f"what {read.what} reads: the function {changed} later", Extent.FRAME)


def _assigned_later(frame: Frame) -> list[types.CellType]:
    """The cells of the frame that instructions from the current one on may assign to."""
    instructions = frame.program.instructions
    start = frame.current
    targets = [i.target for i in instructions[start:] if i.target is not None]
    first = min([start, *targets])  # a loop goes back
    names = {i.arg for i in instructions[first:] if i.op in ("STORE_DEREF", "DELETE_DEREF")}
    return [cell for name in names if type(cell := frame.slots.get(name)) is types.CellType]
