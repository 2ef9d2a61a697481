"""Compiling a target as `dump` and `explain` both do: call it once, run backward once, keep what each stage made."""

from __future__ import annotations

import ast
import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import click

from tracegraph.autograd import no_grad
from tracegraph.autograd.tape import SpentNode
from tracegraph.capture.compiled_function import family_of
from tracegraph.capture.specialisations import Family
from tracegraph.cli.failure import Failure
from tracegraph.cli.inputs import GRAMMAR, Inputs, parse_inputs
from tracegraph.cli.targets import Target, check_call, find_target, user_code
from tracegraph.compiler import Options, compile, stages
from tracegraph.compiler.stages import Product
from tracegraph.errors import CompileError, OptionError
from tracegraph.ir import TensorType
from tracegraph.runtime.graph_node import GraphNode
from tracegraph.tensor import Tensor

#: the options that a command line can set, with their defaults
OPTIONS = ", ".join(f"{f.name}={f.default}" for f in fields(Options) if isinstance(f.default, bool | int | str))


@dataclass(frozen=True)
class Request:
    """What the command line asks to compile, and how."""

    target: Target
    inputs: Inputs
    options: dict[str, Any]
    dynamic: bool
    inference: bool
    seed: int


def compile_arguments(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments of every command that compiles; the command gets them as one `request`."""

    @functools.wraps(command)
    def with_request(target: str, inputs: tuple[str, ...], option: tuple[str, ...], **rest: Any) -> None:
        options, parsed = parse_options(option), parse_inputs(inputs)
        found = find_target(target, bool(parsed))
        how = {name: rest.pop(name) for name in ("dynamic", "inference", "seed")}
        command(Request(found, parsed, options, **how), **rest)

    for decorate in (
        click.option(
            "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random inputs."
        ),
        click.option("--inference", is_flag=True, help="Compile under no_grad, without a backward graph."),
        click.option("--dynamic", is_flag=True, help="Make the sizes of the inputs symbolic."),
        click.option(
            "-O",
            "--option",
            multiple=True,
            metavar="NAME=VALUE",
            help=f"Set an option of the compiler; they and their defaults are {OPTIONS}.",
        ),
        click.argument("inputs", nargs=-1, metavar="[INPUT]..."),
        click.argument("target"),
    ):
        with_request = decorate(with_request)
    return with_request


def parse_options(texts: tuple[str, ...]) -> dict[str, Any]:
    """`("fuse=False",)` as `{"fuse": False}`, checked.

    Raises:
        Failure: no such option, or a value it does not take.
    """
    options = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise Failure(
                f"option {text!r} has no value", f"write NAME=VALUE; the options and their defaults are {OPTIONS}"
            )
        options[name] = _literal(value)
    try:
        Options().updated(options)
    except OptionError as error:
        raise Failure(str(error), f"the options and their defaults are {OPTIONS}") from None
    return options


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


@dataclass(frozen=True)
class Run:
    """What compiling left: the products of all stages, and the caches of the compiled function."""

    products: list[Product]
    family: Family


def record(request: Request, backend: str = "llvm") -> Run:
    """Compile the target by calling it once, and by one backward pass through its results.

    A simpler backend runs fewer stages: `interpreter` stops after optimise, `eager` after capture.

    Raises:
        Failure: the target raises, or a stage of the compiler fails.
    """
    args, kwargs = request.inputs.make(request.target, request.seed)
    with stages.recorded() as log, calling(request.target, args, kwargs):
        options = {**request.options, "strict": True}
        function = compile(request.target.function, dynamic=request.dynamic or None, backend=backend, options=options)
        if request.inference:
            with no_grad():
                function(*args, **kwargs)
        else:
            run_backward(function(*args, **kwargs))
    return Run(log, family_of(function))


@contextmanager
def calling(target: Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """Call the target in the block, with these arguments.

    Raises:
        Failure: the arguments do not fit, the target raises, or a stage of the compiler fails.
    """
    check_call(target.text, target.function, args, kwargs, f"give one INPUT for each; {GRAMMAR}")
    call = f"{target.text}({_arguments(args, kwargs)})"
    with user_code(f"calling {call}", "correct the inputs or the function"), compiler_failures():
        yield


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The arguments of a call as the command line writes them: `f32[2, 3], 0.5, w=f32[3]`."""
    texts = list(map(_argument, args)) + [f"{name}={_argument(value)}" for name, value in kwargs.items()]
    return ", ".join(texts)


def _argument(value: object) -> str:
    if isinstance(value, Tensor):
        return str(TensorType(value.dtype, value.shape))
    return repr(value) if isinstance(value, bool | int | float | str | None) else f"<{type(value).__name__}>"


@contextmanager
def compiler_failures() -> Iterator[None]:
    """A failing stage of the compiler, for which `compile` only warns and runs eagerly, becomes a Failure."""
    remedy = "dump an earlier stage with --stage, and report this together with its text"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        try:
            yield
        except CompileError as error:
            raise Failure(str(error), remedy) from error
    for warning in caught:
        text = str(warning.message)
        if text.startswith("tracegraph"):
            raise Failure(text, remedy)
        click.echo(f"{warning.category.__name__}: {text}", err=True)


def run_backward(result: object) -> None:
    """Differentiate the sum of all results that require grad, so that the backward graphs are compiled too.

    A training step differentiates its loss itself; what has been differentiated is left alone.
    """
    wanted = [t for t in tensors_in(result) if t.requires_grad and not is_spent(t)]
    if wanted:
        total = wanted[0].sum()
        for tensor in wanted[1:]:
            total = total + tensor.sum()
        total.backward()


def is_spent(tensor: Tensor) -> bool:
    """Whether a backward pass has gone through the tensor's history and freed what it had saved."""
    node = tensor.grad_fn
    return isinstance(node, SpentNode) or (isinstance(node, GraphNode) and node.saved is None)


def tensors_in(result: object) -> Iterator[Tensor]:
    """The tensors in a result, within tuples, lists and dictionaries."""
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, dict):
        yield from tensors_in(tuple(result.values()))
    elif isinstance(result, tuple | list):
        for item in result:
            yield from tensors_in(item)
