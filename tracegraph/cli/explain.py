"""`tracegraph explain`: which graphs a target was captured as, what they depend on, where they end and why."""

from __future__ import annotations

from dataclasses import replace

import click

from tracegraph import compiler
from tracegraph.autograd import no_grad
from tracegraph.cli.compiling import Request, calling, compile_arguments, run_backward
from tracegraph.cli.render import show_plain, show_title
from tracegraph.compiler.explanation import GuardListing


@click.command()
@click.option(
    "--guards",
    type=click.Choice(["main", "all", "none"]),
    default="main",
    show_default=True,
    help="What is listed of what each graph depends on: data, classes and functions too, or nothing.",
)
@click.option("--no-guards", "guards", flag_value="none", help="The same as --guards none.")
@compile_arguments
def explain(request: Request, guards: GuardListing) -> None:
    """Explain how TARGET is captured when it is called with the INPUTS.

    For every graph: its operations, what a call costs, the guards under which it is used again, and,
    where the function does not fit into one graph, the line that broke it, the reason, and how to
    avoid the break.

    \b
    Examples:
      tracegraph explain model.py:f "f32[64,784]"
      tracegraph explain --no-guards examples/train_digits.py:loss_of @step_inputs
    """
    found = replace(_explanation(request), function=request.target.text)
    first, _, rest = found.text(guards).partition("\n")
    show_title(first)
    show_plain(rest)


def _explanation(request: Request) -> compiler.Explanation:
    """Call the target, compiled, and run backward through its results."""
    args, kwargs = request.inputs.make(request.target, request.seed)
    options = {**request.options, "strict": True}
    with calling(request.target, args, kwargs):
        explainer = compiler.explain(request.target.function, dynamic=request.dynamic or None, options=options)
        if request.inference:
            with no_grad():
                return explainer(*args, **kwargs)
        found = explainer(*args, **kwargs)
        run_backward(explainer.result)
    return found
