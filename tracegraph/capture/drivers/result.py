"""The product of a capture: graph, guards, and the source of the driver that puts them to work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tracegraph.capture.drivers.units import Unit
from tracegraph.capture.guards.guard import Guard, GuardKind
from tracegraph.capture.guards.sources import Source
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.trace.sizes import Sizes
from tracegraph.ir import Graph


@dataclass(frozen=True)
class Continuation:
    """Where a driver goes on after a break; `name` is how its source refers to it."""

    name: str
    unit: Unit
    #: run without capturing: inside exception handlers, and where no native form of the instruction exists
    is_native: bool = False


@dataclass
class CaptureResult:
    """Everything needed to run a captured call again.

    Attributes:
        graph: the tensor computation, with mutation and aliasing as recorded; None if there is none.
        input_sources: one Source per graph placeholder.
        guards: conditions for reuse, but for those on sizes.
        driver: Python source of `run(args, cells)`: inputs, graph, values, side effects, broken operation,
            continuation.
        names: the objects the driver refers to, apart from those of `specialisations` and the continuations.
        continuations: the units the driver ends in.
        stop: the graph break this capture ends at; None if it reaches the function's end.
        broken_at: the instruction before which the graph ends, None as above.
        native_line: the line of the driver that this instruction begins at.
        example_inputs: the tensors of the capturing call, for the compiler; dropped afterwards.
        sizes: the symbolic sizes; the compiler may ask more of them, so their guards are complete when it is done.
    """

    unit: Unit
    graph: Graph | None
    input_sources: tuple[Source, ...]
    guards: tuple[Guard, ...]
    driver: str
    names: dict[str, Any]
    continuations: tuple[Continuation, ...] = ()
    stop: Break | None = None
    broken_at: int | None = None
    native_line: int | None = None
    example_inputs: list[Any] = field(default_factory=list)
    sizes: Sizes = field(default_factory=Sizes)

    def all_guards(self) -> Iterator[Guard]:
        """`guards` and those on sizes, as far as they have been asked for by now."""
        yield from self.guards
        for condition in self.sizes.conditions():
            yield Guard(GuardKind.SIZES, None, condition, condition.location)
