"""Input specifications of the command line: `f32[64,784]`, `i64[64]:10`, `x=f32[8]:grad`, `0.5`, `@example`.

A specification is parsed first and turned into a tensor afterwards, so that a bad one is reported before any
user code runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegraph.cli.failure import Failure
from tracegraph.cli.targets import Target, attribute, check_call, user_code
from tracegraph.errors import ParseError
from tracegraph.ir import TensorType, parse_type
from tracegraph.ops.core.arguments import described
from tracegraph.tensor import Tensor, tensor

GRAMMAR = (
    "write DTYPE[SIZE,...] as in f32[64,784], i64[64]:10 for integers below 10, f32[8]:grad for a tensor "
    "that requires grad, a Python literal such as 0.5 or 'mean', NAME=SPEC for a keyword argument, "
    "or @NAME for the arguments that the target's neighbour NAME() returns"
)
_TENSOR = re.compile(r"(?P<type>\w+\[[^\]]*\])(?::(?P<option>\w+))?")
_KEYWORD = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>.+)")


@dataclass(frozen=True)
class TensorSpec:
    """A tensor to make: its type, whether it requires grad, and the bound of its integers."""

    type: TensorType
    requires_grad: bool = False
    below: int = 2

    def make(self, rng: np.random.Generator) -> Tensor:
        """A tensor with standard normal values, or integers in [0, below).

        Raises:
            Failure: there is not enough memory.
        """
        shape = tuple(int(size) for size in self.type.shape)
        floating = self.type.dtype.is_floating
        try:
            values = rng.standard_normal(shape) if floating else rng.integers(0, self.below, shape)
        except (MemoryError, ValueError):
            raise Failure(f"input {self.type} does not fit in memory", "give smaller sizes") from None
        return tensor(np.asarray(values).astype(self.type.dtype.np), requires_grad=self.requires_grad)


@dataclass(frozen=True)
class Supplied:
    """Arguments made by a function that stands beside the target: what no specification can say, such as Modules."""

    name: str

    def make(self, target: Target) -> tuple[Any, ...]:
        """What the function returns; a tuple is several arguments.

        Raises:
            Failure: the target's module has no such function, it cannot be called, fails, or returns None.
        """
        place, remedy = target.text.rpartition(":")[0], "name a function without parameters that returns the arguments"
        if not self.name:
            raise Failure("input '@' names no function", remedy)
        supplier = attribute(target.module, place, self.name)
        if not callable(supplier):
            raise Failure(f"@{self.name} is {described(supplier)}, not a function", remedy)
        check_call(f"@{self.name}", supplier, (), {}, remedy)
        with user_code(f"calling {self.name}()"):
            made = supplier()
        if made is None:
            raise Failure(f"{self.name}() returns None, not the arguments of {target.text}", "return them as a tuple")
        return made if isinstance(made, tuple) else (made,)


@dataclass(frozen=True)
class Inputs:
    """The parsed arguments of a call."""

    positional: tuple[object, ...]
    keyword: dict[str, object]

    def make(self, target: Target, seed: int = 0) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments for a call of `target`, the same for the same seed."""
        rng = np.random.default_rng(seed)

        def made(spec: object) -> tuple[Any, ...]:
            if isinstance(spec, Supplied):
                return spec.make(target)
            return (spec.make(rng) if isinstance(spec, TensorSpec) else spec,)

        args = [argument for spec in self.positional for argument in made(spec)]
        return tuple(args), {name: made(spec)[0] for name, spec in self.keyword.items()}

    def __bool__(self) -> bool:
        return bool(self.positional or self.keyword)


def parse_inputs(texts: Sequence[str]) -> Inputs:
    """The arguments that the texts describe, in order.

    Raises:
        Failure: a text is no specification, or a keyword comes twice or before a positional argument.
    """
    positional: list[object] = []
    keyword: dict[str, object] = {}
    for text in texts:
        match = _KEYWORD.fullmatch(text)
        if match is None:
            if keyword:
                raise Failure(f"input {text!r} comes after a keyword argument", "put NAME=SPEC inputs last")
            positional.append(parse_input(text))
        elif match["name"] in keyword:
            raise Failure(f"input {match['name']!r} is given twice", "keep one of the two")
        else:
            keyword[match["name"]] = parse_input(match["value"])
    return Inputs(tuple(positional), keyword)


def parse_input(text: str) -> object:
    """One specification: a TensorSpec, a Supplied, or the value of a Python literal.

    Raises:
        Failure: the text is neither.
    """
    if text.startswith("@"):
        return Supplied(text[1:])
    match = _TENSOR.fullmatch(text)
    if match is None:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            problem = f"input {text!r} is no tensor specification and no Python literal"
            raise Failure(problem, GRAMMAR) from None
    return _tensor_spec(text, match["type"], match["option"])


def _tensor_spec(text: str, type_text: str, option: str | None) -> TensorSpec:
    try:
        type = parse_type(type_text)
    except ParseError as error:
        reason = str(error).splitlines()[0].partition(": ")[2]
        raise Failure(f"input {text!r}: {reason}", GRAMMAR) from None
    if not type.is_static:
        raise Failure(f"input {text!r} has a symbolic size", "give an example; --dynamic makes it symbolic")
    if any(size < 0 for size in type.shape):
        raise Failure(f"input {text!r} has a negative size", GRAMMAR)
    if option is None:
        return TensorSpec(type)
    if option == "grad" and type.dtype.is_floating:
        return TensorSpec(type, requires_grad=True)
    if option.isdigit() and type.dtype.is_integer and int(option) > 0:
        return TensorSpec(type, below=int(option))
    allowed = "':grad'" if type.dtype.is_floating else "a bound such as ':10'"
    problem = f"input {text!r}: option ':{option}' does not fit {type.dtype.long_name}"
    raise Failure(problem, f"use {allowed} or none")
