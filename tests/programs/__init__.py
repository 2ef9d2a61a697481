"""Small programs in plain Python that capture is tried on, by subject; see `tests/capture`.

A program is a function with one or more sets of arguments and the ids of the graph breaks it is known to have.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from captured import MakeArgs, ramp


@dataclass(frozen=True)
class Program:
    """One program; `breaks` None means that its breaks are not looked at."""

    function: Callable[..., Any]
    make_args: tuple[MakeArgs, ...]
    breaks: tuple[str, ...] | None
    #: called with one tensor and nothing else
    takes_tensor: bool = False


PROGRAMS: dict[str, Program] = {}


def program(*make_args: MakeArgs, breaks: tuple[str, ...] | None = ()) -> Callable[[Any], Any]:
    """Register a function; without arguments of its own it is given a 2x3 tensor, and its negative."""

    def register(function: Any) -> Any:
        name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        default = (lambda: (ramp(),), lambda: (-ramp(),))
        PROGRAMS[name] = Program(function, make_args or default, breaks, takes_tensor=not make_args)
        return function

    return register


def load() -> None:
    """Import every module of this package, which registers its programs."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def subject(name: str) -> str:
    """The module that a program, given by name, belongs to."""
    return name.partition(".")[0]


def programs_of(group: str) -> dict[str, Program]:
    """The programs of one module of this package, by name."""
    return {n: p for n, p in PROGRAMS.items() if n.startswith(f"{group}.")}
