"""Logs of what capture does: ordinary loggers, and the environment variable that turns them on.

`TRACEGRAPH_LOGS=recompiles,graph_breaks` writes to stderr without a line of code; `logging.getLogger(...)` under the
names below does the same to any handler. Messages have the level INFO.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable

from tracegraph.errors import ArgumentError, OptionError
from tracegraph.ops.core.arguments import described

RECOMPILES = logging.getLogger("tracegraph.recompiles")
GRAPH_BREAKS = logging.getLogger("tracegraph.graph_breaks")
GUARDS = logging.getLogger("tracegraph.guards")

#: what may be named in the environment variable
LOGS = {logger.name.rpartition(".")[2]: logger for logger in (RECOMPILES, GRAPH_BREAKS, GUARDS)}
VARIABLE = "TRACEGRAPH_LOGS"


def set_logs(names: str) -> None:
    """Write the logs with these comma-separated names (or "all") to stderr.

    Raises:
        ArgumentError: `names` is no str.
        OptionError: there is no log of that name; the nearest is suggested.
    """
    if not isinstance(names, str):
        raise ArgumentError(f"set_logs(): names must be a str such as 'recompiles,guards', got {described(names)}")
    _write(names, f"set_logs({names!r})")


def _write(names: str, given: str) -> None:
    """Write the logs that the user named by `given`."""
    chosen = [_named(name, given) for name in filter(None, map(str.strip, names.split(",")))]
    for loggers in chosen:
        for logger in loggers:
            logger.setLevel(logging.INFO)
            if not logger.handlers:
                handler = logging.StreamHandler()
                handler.setFormatter(logging.Formatter("[%(name)s] %(message)s"))
                logger.addHandler(handler)


def _named(name: str, given: str) -> list[logging.Logger]:
    if name == "all":
        return list(LOGS.values())
    if name not in LOGS:
        near = difflib.get_close_matches(name, LOGS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "separate several by commas"
        raise OptionError(f"{given}: unknown log {name!r}: one of {', '.join(LOGS)}, all; {hint}")
    return [LOGS[name]]


_write(os.environ.get(VARIABLE, ""), VARIABLE)


class LazyText:
    """Text that is made only if a log writes it."""

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make

    def __str__(self) -> str:
        return self._make()
