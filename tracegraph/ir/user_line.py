"""The user's line, on exceptions that arise while a graph runs.

A compiled function runs graphs, not the user's statements, so a traceback ends in the library. Whatever runs nodes
adds a note (`BaseException.add_note`, PEP 678) to an exception that one of them raises: type, arguments and message
stay exactly those of eager execution, and tracebacks show under the message

      at /home/ada/model.py:12: y = table[i]
"""

from __future__ import annotations

import linecache
import os.path

from tracegraph.ir.graph import Location, Node

_START = "  at "


def note_user_line(error: BaseException, node: Node) -> None:
    """Add the line that `node` was recorded from to an exception it raised, unless one was added further inside."""
    note_location(error, node.location)


def note_location(error: BaseException, location: Location | None) -> None:
    """Add a line of the user's program to an exception, unless one was added further inside."""
    if location is not None and not users_lines(error):
        error.add_note(f"{_START}{source_line(location)}")


def users_lines(error: BaseException) -> list[str]:
    """What `note_user_line` added to an exception: `file:line: source`, at most once."""
    notes: list[str] = getattr(error, "__notes__", [])
    return [note.removeprefix(_START) for note in notes if note.startswith(_START)]


def source_line(location: Location) -> str:
    """`file:line: source`, the source only where the file is certain (IR text names files without their folder)."""
    place = f"{location.file}:{location.line}"
    is_certain = os.path.isabs(location.file) or location.file.startswith("<")
    source = linecache.getline(location.file, location.line).strip() if is_certain else ""
    return f"{place}: {source}" if source else place
