"""`tracegraph passes` and `tracegraph ops`: what there is, from the registries."""

from __future__ import annotations

from itertools import groupby

import click

from tracegraph.cli.failure import Failure
from tracegraph.cli.render import show_table
from tracegraph.ir.op import REGISTRY
from tracegraph.ops.core.definition import Definition
from tracegraph.passes.pass_manager import PASSES, name_of, summary
from tracegraph.passes.pipeline import DefaultSettings, optimising_passes


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--markdown", is_flag=True, help="Print the page docs/ops.md.")
def ops(names: tuple[str, ...], markdown: bool) -> None:
    """List the operations, or only those whose name contains a NAME.

    \b
    Examples:
      tracegraph ops
      tracegraph ops conv pool
      tracegraph ops --markdown > docs/ops.md
    """
    found = [op for op in definitions() if not names or any(name in op.name for name in names)]
    if not found:
        raise Failure(f"no operation has {' or '.join(names)} in its name", "tracegraph ops lists them all")
    if markdown:
        click.echo(ops_page(found), nl=False)
        return
    rows = [(op.name, op.kind.value, op.summary) for op in sorted(found, key=lambda op: op.name)]
    show_table(("op", "kind", "what it does"), rows)


@click.command()
def passes() -> None:
    """List the passes, and say which belong to the optimise stage; `tracegraph opt` runs them.

    \b
    Example:
      tracegraph passes
    """
    order = [name_of(function) for function in optimising_passes(DefaultSettings())]
    rows = [(name, _numbers(name, order), summary(name)) for name in sorted(PASSES, key=lambda n: _place(n, order))]
    show_table(("pass", "optimise", "what it does"), rows)


def _numbers(name: str, order: list[str]) -> str:
    """The places of a pass in the optimise stage, counted from 1."""
    return ", ".join(str(place) for place, other in enumerate(order, start=1) if other == name) or "-"


def _place(name: str, order: list[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def definitions() -> list[Definition]:
    """Every op of the library, by kind and name; not those that a user's program adds."""
    ours = [op for op in REGISTRY.values() if type(op).__module__.startswith("tracegraph.ops")]
    found = [op for op in ours if isinstance(op, Definition)]
    return sorted(found, key=lambda op: (op.kind.value, op.name))


def ops_page(listed: list[Definition]) -> str:
    """The reference page of the ops in Markdown."""
    lines = [
        "# Operations",
        "",
        "Made by `tracegraph ops --markdown` from the definitions in `tracegraph/ops/`; edit those.",
        "Names, arguments, broadcasting and type promotion follow PyTorch. `Number` is a tensor or a number,",
        "`dim` a dimension counted from either end, `dims` one or several of them, `size` a shape, `pair` a number or",
        "two of them, `any` what the description says.",
    ]
    for kind, group in groupby(listed, key=lambda op: op.kind):
        lines += ["", f"## {kind.value.capitalize()}", "", "| op | arguments | |", "|---|---|---|"]
        lines += [f"| `{op.name}` | `{op.signature[1:-1]}` | {_cell(op.summary)} |" for op in group]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
