"""Printing: plain text into a pipe, the same text coloured in a terminal."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence

import click
from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.text import Text
from rich.theme import Theme

THEME = Theme(
    {
        "ir.comment": "dim",
        "ir.keyword": "bold magenta",
        "ir.value": "cyan",
        "ir.type": "green",
        "ir.role": "yellow",
        "ir.op": "bold",
        "ir.string": "yellow",
        "title": "bold blue",
        "added": "green",
        "removed": "red",
        "context": "dim",
    }
)
_DIFF_STYLES = {"+": "added", "-": "removed", "@": "title"}


class IRHighlighter(RegexHighlighter):
    """Colours of IR text, graphs and kernels alike."""

    base_style = "ir."
    highlights = (
        r"(?P<op>\b[a-z_]\w*)(?=\()",
        r"(?P<keyword>\b(graph|kernel|return|for|parallel|vector|if|else)\b)",
        r"(?P<value>%\w+)",
        r"(?P<type>\b(bool|u8|i8|i16|i32|i64|f16|bf16|f32|f64)\b(\[[^\]]*\])?)",
        r"(?P<role>\b(primal|cotangent|parameter|buffer|saved|rng_key)\b)",
        r'(?P<string>"[^"]*")',
        r"(?P<comment>//.*$)",
    )


def show(text: str, title: str = "") -> None:
    """Print IR text, under a title if there is one."""
    if title:
        show_title(f"// {title}")
    _emit(IRHighlighter()(Text(text)))


def show_title(text: str) -> None:
    """Print a heading."""
    _emit(Text(text, style="title"))


def show_plain(text: str) -> None:
    """Print prose."""
    _emit(Text(text))


def diff(before: str, after: str, before_name: str, after_name: str) -> str:
    """A unified diff of two texts; empty if they are equal."""
    old, new = before.splitlines(), after.splitlines()
    return "\n".join(difflib.unified_diff(old, new, before_name, after_name, lineterm=""))


def show_diff(text: str) -> None:
    """Print a unified diff."""
    for line in text.splitlines():
        _emit(Text(line, style=_DIFF_STYLES.get(line[:1], "")))


def show_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in aligned columns."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns) - 1)]
    for row in [columns, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        _emit(Text("  ".join([*cells, row[-1]]).rstrip(), style="title" if row is columns else ""))


def _emit(text: Text) -> None:
    if sys.stdout.isatty():
        Console(theme=THEME).print(text, soft_wrap=True)
    else:
        click.echo(text.plain)
