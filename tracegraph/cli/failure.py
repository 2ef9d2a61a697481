"""Errors as the command line shows them: what is wrong, where, what to do; exit status 2 and no traceback."""

from __future__ import annotations

import functools
import importlib
import sysconfig
import traceback
from typing import IO, Any

import click

from tracegraph.ir.user_line import users_lines


class Failure(click.ClickException):
    """A problem the user can fix.

    Args:
        problem: one sentence that names the thing.
        remedy: what to do about it.
        where: `file:line` in the user's sources, if known.
    """

    exit_code = 2

    def __init__(self, problem: str, remedy: str = "", where: str = "") -> None:
        super().__init__(problem)
        self.remedy = remedy
        self.where = where

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error on standard error, coloured in a terminal."""
        click.echo(f"{click.style('error:', fg='red', bold=True)} {self.message}", err=True, file=file)
        if self.where:
            click.echo(f"   {click.style('at:', fg='cyan')} {self.where}", err=True, file=file)
        if self.remedy:
            click.echo(f"  {click.style('try:', fg='green')} {self.remedy}", err=True, file=file)


def users_line(error: BaseException) -> str:
    """`file:line: source` of the innermost frame in the user's own code; "" if there is none.

    What a compiled graph raises has the line as a note: the graph has no frame of the user's.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {(error.text or '').strip()}"
    if noted := users_lines(error):
        return noted[0]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(("<", *_foreign_folders())):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return ""


@functools.cache
def _foreign_folders() -> tuple[str, ...]:
    """Folders of code that is not the user's: this package, the standard library, installed packages."""
    packages = ("tracegraph", "tracegraph.passes", "tracegraph.codegen")
    own = [folder for name in packages for folder in importlib.import_module(name).__path__]
    return (*own, *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))
