"""`tracegraph opt`: reads IR text, runs passes over it, prints IR text."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import click

from tracegraph import ir
from tracegraph.cli.failure import Failure
from tracegraph.cli.render import diff, show, show_diff
from tracegraph.errors import IRError, ParseError, TracegraphError
from tracegraph.passes.pass_manager import Pass, PassRun, find_pass, run_passes
from tracegraph.passes.pipeline import DefaultSettings, optimising_passes

_GRAPH_START = re.compile(r"^(?=graph )", re.MULTILINE)


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option("--passes", "names", metavar="A,B,...", help="Passes to run, in this order; see `tracegraph passes`.")
@click.option("--diff", "as_diff", is_flag=True, help="Print what each pass changed, not the result.")
def opt(file: str, names: str | None, as_diff: bool) -> None:
    """Run passes over IR text from FILE, or from standard input if it is -.

    Without --passes the passes of the optimise stage run. Graphs are verified before and after every
    pass. The text may hold several graphs; they are treated one by one.

    \b
    Examples:
      tracegraph opt graph.tg --passes cse,dce
      tracegraph opt graph.tg --diff
      tracegraph dump --stage capture model.py:f "f32[8]" | tracegraph opt - --passes canonicalise
    """
    chosen = _chosen(names)
    texts = [_differences(graph, chosen) if as_diff else str(_run(graph, chosen)) for graph in read_graphs(file)]
    for text in texts:
        (show_diff if as_diff else show)(text)


def read_graphs(file: str) -> list[ir.Graph]:
    """The graphs whose text is in `file`, verified.

    Raises:
        Failure: no such file, no graph in it, or a text that does not parse; the message gives file, line, column.
    """
    name = "<stdin>" if file == "-" else file
    head, *chunks = _GRAPH_START.split(_read(file))
    if not chunks:
        raise Failure(f"there is no graph in {name}", "IR text begins with 'graph NAME(...) {'; see `tracegraph dump`")
    graphs, line = [], head.count("\n")
    for chunk in chunks:
        try:
            graphs.append(ir.verify(ir.parse("\n" * line + chunk)))
        except ParseError as error:
            where, _, rest = str(error).partition(": ")
            remedy = "correct the text, or print it again with `tracegraph dump`"
            raise Failure(f"{name}, {where}: {rest}", remedy) from None
        except TracegraphError as error:
            raise Failure(f"{name}: {error}", "correct the graph") from None
        line += chunk.count("\n")
    return graphs


def _read(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    path = Path(file)
    if path.is_dir():
        raise Failure(f"{file} is a directory", "give a file of IR text, or - for standard input")
    if not path.exists():
        raise Failure(f"there is no file {file}", f"check the path; it is looked up from {Path.cwd()}")
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read as text: {error}", "give a file of IR text") from None


def _chosen(names: str | None) -> list[Pass]:
    """The passes that `--passes` names; those of the optimise stage without it.

    Raises:
        Failure: there is no such pass.
    """
    if names is None:
        return optimising_passes(DefaultSettings())
    try:
        return [find_pass(name) for name in filter(None, map(str.strip, names.split(",")))]
    except IRError as error:
        raise Failure(str(error), "`tracegraph passes` says what each of them does") from None


def _run(graph: ir.Graph, passes: list[Pass], sink: Callable[[PassRun], None] | None = None) -> ir.Graph:
    try:
        return run_passes(graph, passes, check=True, sink=sink)
    except TracegraphError as error:
        raise Failure(str(error), "report this together with the input") from error


def _differences(graph: ir.Graph, passes: list[Pass]) -> str:
    """What each pass that changed the graph changed, one diff after the other."""
    runs: list[PassRun] = []
    _run(graph, passes, runs.append)
    texts = [diff(str(r.before), str(r.after), f"before {r.name}", f"after {r.name}") for r in runs]
    return "\n".join(filter(None, texts)) or f"// graph {graph.name}: no pass changed it"
