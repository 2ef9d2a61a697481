"""The schema of a custom op: what it takes, returns and writes to, inferred from the annotations of its function."""

from __future__ import annotations

import ast
import collections.abc
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tracegraph.dtypes import DType
from tracegraph.errors import ArgumentError
from tracegraph.ops.core.arguments import described
from tracegraph.tensor import Tensor

_NAME = re.compile(r"[A-Za-z_]\w*::[A-Za-z_]\w*")
_LISTS = (list, Sequence, collections.abc.Sequence)
#: plain annotations and the sorts of parameters they mean (see `ops.binding` and `ops.canonical`)
_SORTS: dict[Any, str] = {Tensor: "Tensor", int: "int", float: "float", bool: "bool", str: "str", DType: "dtype"}
_OPTIONAL = {
    "Tensor": "OptionalTensor", "int": "OptionalInt", "float": "OptionalFloat", "str": "OptionalStr",
    "dtype": "OptionalDtype", "ints": "OptionalInts", "number": "OptionalNumberAttr", "bool": "any", "any": "any",
}  # fmt: skip
_SUPPORTED = "Tensor, int, float, bool, str, DType, int | float, lists of tensors or numbers, and `| None` of these"


@dataclass(frozen=True)
class Parameter:
    """A parameter of the function: its name, its sort, and whether the op writes to it."""

    name: str
    sort: str
    is_mutated: bool
    keyword_only: bool

    @property
    def is_operand(self) -> bool:
        return "Tensor" in self.sort


@dataclass(frozen=True)
class Schema:
    """See the module docstring.

    Attributes:
        name: `namespace::name`.
        text: the signature in the words of op definitions: `(x: Tensor, limit: float = 1.0)`.
        parameters: in the order of the function.
        returns: how many tensors it returns.
    """

    name: str
    text: str
    parameters: tuple[Parameter, ...]
    returns: int

    @property
    def mutated(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters if p.is_mutated)

    def __str__(self) -> str:
        return f"{self.name}{self.text} -> {self.returns} tensor{'' if self.returns == 1 else 's'}"


def infer_schema(function: Callable[..., Any], *, name: str, mutates_args: str | Iterable[str] = ()) -> Schema:
    """The schema of a custom op whose Python function is `function`.

    Args:
        name: `namespace::name`.
        mutates_args: names of the tensors that the function writes to.

    Raises:
        ArgumentError: a bad name, a parameter or result without an annotation or with one that graphs cannot hold, or
            a name in `mutates_args` that is no tensor parameter.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ArgumentError(f"custom op {name!r}: the name must be of the form 'namespace::name'")
    if not isinstance(mutates_args, Iterable):
        raise ArgumentError(
            f"custom op {name}: mutates_args must be names of parameters, got {described(mutates_args)}"
        )
    mutated = (mutates_args,) if isinstance(mutates_args, str) else tuple(mutates_args)
    hints = _hints(name, function)
    signature = inspect.signature(function)
    parameters = tuple(_parameter(name, p, hints, mutated) for p in signature.parameters.values())
    _check_tensors(name, parameters, mutated)
    returns = _returns(name, hints.get("return", inspect.Parameter.empty))
    if returns == 0 and not mutated:
        raise ArgumentError(f"custom op {name}: it returns nothing and writes to no argument; a graph would drop it")
    return Schema(name, _text(name, signature, parameters), parameters, returns)


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError) as e:
        raise ArgumentError(f"custom op {name}: an annotation cannot be evaluated: {e}") from None


def _parameter(name: str, parameter: inspect.Parameter, hints: dict[str, Any], mutated: tuple[str, ...]) -> Parameter:
    where = f"custom op {name}: parameter {parameter.name!r}"
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise ArgumentError(f"{where}: an op has a fixed number of parameters; take a list instead")
    if parameter.name not in hints:
        raise ArgumentError(f"{where} has no annotation; it may be {_SUPPORTED}")
    sort = _sort(hints[parameter.name])
    if sort is None:
        raise ArgumentError(f"{where}: annotation {_shown(hints[parameter.name])} is not supported; use {_SUPPORTED}")
    return Parameter(parameter.name, sort, parameter.name in mutated, parameter.kind is parameter.KEYWORD_ONLY)


def _sort(hint: Any) -> str | None:
    """The sort an annotation means, None if it means none."""
    plain = _SORTS.get(hint) if isinstance(hint, type) else None
    if plain is not None:
        return plain
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        rest = [a for a in args if a is not type(None)]
        if set(rest) in ({int, float}, {int, float, bool}):
            return "number" if len(rest) == len(args) else _OPTIONAL["number"]
        inner = _sort(rest[0]) if len(rest) == 1 else None
        return _OPTIONAL.get(inner) if inner is not None else None
    if origin in _LISTS or (origin is tuple and len(args) == 2 and args[1] is ...):
        return {Tensor: "Tensors", int: "ints", float: "any", bool: "any", str: "any"}.get(args[0])
    return None


def _check_tensors(name: str, parameters: tuple[Parameter, ...], mutated: tuple[str, ...]) -> None:
    if sum(p.sort == "Tensors" for p in parameters) > 1:
        raise ArgumentError(f"custom op {name}: only one parameter may be a list of tensors")
    tensors = {p.name for p in parameters if p.sort == "Tensor"}
    for wrong in (m for m in mutated if m not in tensors):
        raise ArgumentError(
            f"custom op {name}: mutates_args names {wrong!r}, which is no parameter of type Tensor; there are "
            f"{', '.join(sorted(tensors)) or 'none'}"
        )


def _returns(name: str, hint: Any) -> int:
    if hint is Tensor:
        return 1
    if hint is None or hint is type(None):
        return 0
    args = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and len(args) > 1 and all(a is Tensor for a in args):
        return len(args)
    shown = "is missing" if hint is inspect.Parameter.empty else f"{_shown(hint)} is not supported"
    raise ArgumentError(f"custom op {name}: the return annotation {shown}; use Tensor, tuple[Tensor, Tensor], or None")


def _text(name: str, signature: inspect.Signature, parameters: tuple[Parameter, ...]) -> str:
    parts: list[str] = []
    for p, parameter in zip(parameters, signature.parameters.values(), strict=True):
        if p.keyword_only and "*" not in parts:
            parts.append("*")
        default = parameter.default
        parts.append(f"{p.name}: {p.sort}" + ("" if default is parameter.empty else f" = {_literal(name, p, default)}"))
    return f"({', '.join(parts)})"


def _literal(name: str, parameter: Parameter, default: Any) -> str:
    text = repr(default.long_name if isinstance(default, DType) else default)
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise ArgumentError(
            f"custom op {name}: the default {default!r} of {parameter.name!r} is no literal that a graph can hold"
        ) from None
    return text


def _shown(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
