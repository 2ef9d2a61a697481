"""Python functions that are captured in place of others, mostly of C: `torch.compiler.substitute_in_graph`."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar

from tracegraph.errors import ArgumentError
from tracegraph.ops.core.arguments import described

F = TypeVar("F", bound=Callable[..., Any])

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
#: by id of the original, which is kept alive: the original and its substitute
_SUBSTITUTES: dict[int, tuple[Any, types.FunctionType]] = {}


def substitute_in_graph(
    original_fn: Callable[..., Any], *, can_constant_fold_through: bool = False, skip_signature_check: bool = False
) -> Callable[[F], F]:
    """Capture a Python function wherever captured code calls `original_fn`, which capture cannot look into.

    The decorated function must do the same as the original. Outside of captured code nothing changes.

    Args:
        original_fn: a function, usually one written in C.
        can_constant_fold_through: for PyTorch's signature; calls with constants are constants in any case.
        skip_signature_check: allow other parameters than the original's.

    Raises:
        ArgumentError: the original or the decorated one is no function, they differ in their parameters, or the
            original has a substitute already.

    Example:
        >>> import operator
        >>> import tracegraph as tg
        >>> @tg.compiler.substitute_in_graph(operator.indexOf)
        ... def index_of(a, b, /):
        ...     for i, item in enumerate(a):
        ...         if item is b or item == b:
        ...             return i
        ...     raise ValueError("sequence.index(x): x not in sequence")
        >>> tg.compile(lambda x, names: x * operator.indexOf(names, "b"), fullgraph=True)(tg.ones(2), ["a", "b"])
        tensor([1., 1.])
    """
    if not isinstance(original_fn, _FUNCTIONS):
        raise ArgumentError(f"substitute_in_graph() takes a function, got {described(original_fn)}")
    name = original_fn.__qualname__
    if id(original_fn) in _SUBSTITUTES:
        raise ArgumentError(f"substitute_in_graph({name}): it has a substitute already")

    def register(traceable_fn: F) -> F:
        if not isinstance(traceable_fn, types.FunctionType):
            raise ArgumentError(
                f"substitute_in_graph({name}): the substitute must be a Python function, got {described(traceable_fn)}"
            )
        if not skip_signature_check:
            _check_parameters(name, original_fn, traceable_fn)
        _SUBSTITUTES[id(original_fn)] = original_fn, traceable_fn
        return traceable_fn

    return register


def _check_parameters(name: str, original: Callable[..., Any], substitute: types.FunctionType) -> None:
    try:
        wanted = inspect.signature(original)
    except ValueError:  # some functions of C have none
        return
    given = inspect.signature(substitute)
    if _shape(wanted) != _shape(given):
        raise ArgumentError(
            f"substitute_in_graph({name}): the substitute takes {given}, the original {wanted}; make them alike, or "
            "pass skip_signature_check=True"
        )


def _shape(signature: inspect.Signature) -> list[tuple[Any, ...]]:
    """What calls depend on: kinds, names where they can be given, defaults."""
    hidden = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [(p.kind, None if p.kind in hidden else p.name, p.default) for p in signature.parameters.values()]


def substitute_of(function: Any) -> types.FunctionType | None:
    """What is captured in place of `function`, if anything."""
    found = _SUBSTITUTES.get(id(function))
    return found[1] if found is not None else None
