"""`tracegraph opt`: reads IR text, runs passes over it, prints IR text."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from tracegraph import ir
from tracegraph.cli.failure import Failure
from tracegraph.cli.render import diff, show, show_diff
from tracegraph.errors import ParseError, TracegraphError

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
    graphs = [_optimised(graph, chosen, as_diff) for graph in read_graphs(file)]
    for text in graphs:
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
            raise Failure(
                f"{name}, {where}: {rest}", "correct the text, or print it again with `tracegraph dump`"
            ) from None
        except TracegraphError as error:
            raise Failure(f"{name}: {error}", "correct the graph") from None
        line += chunk.count("\n")
    return graphs


def _read(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    path = Path(file)
    if not path.is_file():
        raise Failure(f"there is no file {file}", f"check the path; it is looked up from {Path.cwd()}")
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read as text: {error}", "give a file of IR text") from None
