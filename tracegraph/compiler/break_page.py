"""The reference page of graph breaks, made from the registry of their reasons."""

from __future__ import annotations

from tracegraph.capture.reporting.break_reasons import REASONS, Reason
from tracegraph.capture.reporting.graph_break import Extent

_INTRODUCTION = f"""\
# Graph breaks

Made from `tracegraph/capture/reporting/break_reasons.py`; edit that.

A graph ends where capture meets something that it cannot put into a graph. The result is eager's all the same: what
broke the graph runs in Python, between two graphs. Depending on where it stands:

- {Extent.INSTRUCTION.value} (the usual case);
- {Extent.REST.value} (inside `except` and `finally`, or where the instruction cannot be taken apart);
- {Extent.FRAME.value} (the function inspects its frame, raises, or cannot be entered again in its middle).

`print(tracegraph.compiler.explain(f)(x))` lists the breaks of a call; `TRACEGRAPH_LOGS=graph_breaks` logs them as they
happen; `tracegraph.compile(f, fullgraph=True)` makes them errors. Each names its reason, the line of your program,
and a way out:

| reason | what happened | how to remove it |
|---|---|---|
"""


def break_page() -> str:
    """docs/graph_breaks.md."""
    reasons = sorted(REASONS.values(), key=lambda reason: reason.id)
    rows = "".join(f"| [`{r.id}`](#{r.id}) | {_cell(r.explanation)} | {_cell(r.hint)} |\n" for r in reasons)
    return f"{_INTRODUCTION}{rows}\n## Examples\n{''.join(map(_example, reasons))}"


def _example(reason: Reason) -> str:
    """The program that breaks, and the one that does not."""
    shown = f"\n### {reason.id}\n\n```python\n{reason.example}\n```\n"
    return f"{shown}\ninstead:\n\n```python\n{reason.remedy}\n```\n" if reason.remedy else shown


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
