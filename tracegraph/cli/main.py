"""The `tracegraph` command: the group of its subcommands and what goes for all of them."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from tracegraph.cli.dump import dump
from tracegraph.cli.explain import explain
from tracegraph.cli.listing import ops, passes
from tracegraph.cli.opt import opt


class Commands(click.Group):
    """A group whose commands end quietly when nobody reads on (`tracegraph dump ... | head`)."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # the interpreter flushes standard output once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tracegraph", prog_name="tracegraph")
def cli() -> None:
    """Look inside the tracegraph compiler.

    A TARGET is a function or Module, named as package.module:function or path/file.py:function.
    INPUTS are its arguments: f32[64,784] is a random tensor, i64[64]:10 holds integers below 10,
    f32[8]:grad requires grad, Python literals stand for themselves, and @name stands for the
    arguments that the function `name` beside the target returns.

    \b
    Start here:
      tracegraph explain examples/inspect_stages.py:f "f32[4,8]" "f32[8,3]"
      tracegraph dump --stage all examples/inspect_stages.py:f "f32[4,8]" "f32[8,3]:grad"
      tracegraph dump --stage capture examples/inspect_stages.py:f "f32[4,8]" "f32[8,3]" | tracegraph opt - --diff
    """


for command in (dump, opt, explain, passes, ops):
    cli.add_command(command)


def main() -> None:
    """Entry point of the console script."""
    cli(prog_name="tracegraph")
