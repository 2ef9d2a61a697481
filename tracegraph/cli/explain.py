"""`tracegraph explain`: which graphs a target was captured as, what they depend on, where they end and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from tracegraph.capture.specialisations import Family, Specialisation
from tracegraph.cli.compiling import Request, compile_arguments, record
from tracegraph.cli.render import show_plain, show_title
from tracegraph.compiler.stages import STAGES
from tracegraph.ir import Graph


@click.command()
@click.option("--guards/--no-guards", default=True, show_default=True, help="List what each graph depends on.")
@compile_arguments
def explain(request: Request, guards: bool) -> None:
    """Explain how TARGET is captured when it is called with the INPUTS.

    For every graph: its operations, the guards under which it is used again, and, where the function
    does not fit into one graph, the line that broke it, the reason, and how to avoid the break.

    \b
    Examples:
      tracegraph explain model.py:f "f32[64,784]"
      tracegraph explain --no-guards examples/train_digits.py:loss_of @step_inputs
    """
    run = record(request)
    parts = list(_parts(run.family))
    graphs = sum(part.graph is not None for _, part in parts)
    summary = f"{request.target.text}: {_count(graphs, 'graph')}, {_count(len(run.family.breaks), 'break')}"
    seconds = sum(product.seconds for product in run.products if product.stage in STAGES)
    show_title(f"{summary}, {seconds:.2f} s in the compiler")
    for label, part in parts:
        show_title(f"\n{label}")
        show_plain("\n".join(_part_lines(part, guards)))
    if run.family.breaks:
        show_title("\nbreaks")
        show_plain("\n".join(line for _, stop in run.family.breaks for line in _break_lines(stop)))


def _parts(family: Family) -> Iterator[tuple[str, Specialisation]]:
    """Everything that was captured, each with the name of its part of the program."""
    for unit in family.units.values():
        for specialisation in unit.specialisations:
            yield specialisation.graph.name if specialisation.graph is not None else unit.unit.label, specialisation


def _part_lines(part: Specialisation, with_guards: bool) -> Iterator[str]:
    if part.graph is None:
        yield "  no tensor operations: runs as ordinary Python"
    else:
        yield f"  inputs: {', '.join(str(value.type) for value in part.graph.placeholders) or 'none'}"
        yield f"  operations: {_operations(part.graph)}"
    if with_guards:
        yield f"  guards: {len(part.guards)}"
        yield from (f"    {guard}" for guard in part.guards)


def _operations(graph: Graph) -> str:
    """`matmul, 2 x add`, the most frequent first."""
    counts = Counter(node.call_op.name for node in graph.calls)
    return ", ".join(name if n == 1 else f"{n} x {name}" for name, n in counts.most_common()) or "none"


def _break_lines(stop: Any) -> Iterator[str]:
    where = f"{stop.location.file}:{stop.location.line}: " if stop.location else ""
    yield f"  {where}{stop.detail}"
    yield f"    why: {stop.reason.explanation}"
    yield f"    try: {stop.reason.hint}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
