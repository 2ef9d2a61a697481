"""The `tracegraph` command: the group of its subcommands and what goes for all of them."""

from __future__ import annotations

import click

from tracegraph.cli.dump import dump
from tracegraph.cli.explain import explain
from tracegraph.cli.listing import ops, passes
from tracegraph.cli.opt import opt


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
