"""`tracegraph dump`: the text of what each stage of the compiler makes of a target."""

from __future__ import annotations

import click

from tracegraph.cli.compiling import Request, compile_arguments, record
from tracegraph.cli.failure import Failure
from tracegraph.cli.render import show
from tracegraph.compiler.stages import STAGES, Product


class StageName(click.ParamType):
    """`all` or the name of a stage."""

    name = "stage"

    def convert(self, value: str, param: object, ctx: object) -> str:
        """`value`, checked.

        Raises:
            Failure: there is no such stage.
        """
        if value not in (*STAGES, "all"):
            raise Failure(f"there is no stage {value!r}", f"use one of {', '.join(STAGES)}, or all")
        return value


@click.command()
@click.option("--stage", type=StageName(), default="all", show_default=True, metavar="NAME|all", help="Stage to print.")
@click.option("--times", is_flag=True, help="Say how long each stage took.")
@compile_arguments
def dump(request: Request, stage: str, times: bool) -> None:
    """Print what the stages of the compiler make of TARGET.

    TARGET is called once with the INPUTS, and differentiated once unless --inference is given. Every
    stage prints the text of its product, in the order in which it ran; titles are comments, so that
    graphs can be piped into `tracegraph opt`.

    \b
    Stages: capture functionalise joint simplify partition optimise fuse plan lower schedule emit load

    \b
    Examples:
      tracegraph dump --stage capture model.py:f "f32[64,784]" "i64[64]:10"
      tracegraph dump --stage all examples/train_digits.py:loss_of @step_inputs
      tracegraph dump --stage fuse --inference --dynamic model.py:Model "f32[8,3]"
      tracegraph dump --stage emit -O fuse=False model.py:f "f32[8]:grad"
    """
    wanted = STAGES if stage == "all" else (stage,)
    products = [p for p in record(request, _backend(wanted[-1])).products if p.stage in wanted]
    if not products:
        raise Failure(_missing(stage, request.target.text), _reason(stage))
    texts = [(_title(product, times), product.text()) for product in products]
    for title, text in texts:
        show(text, title)


def _backend(stage: str) -> str:
    """The simplest backend that runs `stage`: an early stage can be seen even if a later one fails."""
    if stage == "capture":
        return "eager"
    return "interpreter" if STAGES.index(stage) <= STAGES.index("optimise") else "llvm"


def _title(product: Product, times: bool) -> str:
    took = f" ({1e3 * product.seconds:.1f} ms)" if times else ""
    return f"stage {product.stage}: {product.title}{took}"


def _missing(stage: str, target: str) -> str:
    return f"no stage ran for {target}" if stage == "all" else f"stage {stage} did not run for {target}"


def _reason(stage: str) -> str:
    if stage in ("all", "capture"):
        return (
            "the call computes nothing with tensors that could be captured; `tracegraph explain` says where it breaks"
        )
    if stage in ("joint", "simplify", "partition"):
        return "nothing requires grad: mark an input as in f32[8]:grad, and leave out --inference"
    return "`--stage all` shows those that did"
