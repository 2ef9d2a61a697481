"""Whether a builtin takes the arguments it is given: one that does not is called as it is, and says so itself."""

from __future__ import annotations

import functools
import inspect
import itertools
import types
from typing import TYPE_CHECKING, Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

#: numbers of positional arguments of builtins that have no signature, or not on every Python; they take no others
_POSITIONAL: dict[Any, tuple[int, int]] = {
    bool: (0, 1),
    float: (0, 1),
    getattr: (2, 3),
    iter: (1, 2),
    next: (1, 2),
    reversed: (1, 1),
    dict: (0, 1),
    functools.reduce: (2, 3),
    itertools.tee: (1, 2),
}
#: and the names that others take besides
_NAMED: dict[Any, frozenset[str]] = {
    dict: frozenset(),
    min: frozenset({"key", "default"}),
    max: frozenset({"key", "default"}),
}


def check_arguments(tracer: Tracer, function: Any, args: Args, kwargs: Kwargs) -> None:
    """What is looked at before a builtin is carried out.

    Raises:
        Observed: it does not take these arguments.
    """
    if isinstance(function, types.BuiltinFunctionType | type) and not _takes(function, args, kwargs):
        tracer.native(function, *args, **kwargs)
        raise Break(reasons.NATIVE_CALL, f"{function.__name__}() with arguments that it may not take")


def _takes(function: Any, args: Args, kwargs: Kwargs) -> bool:
    if function in (min, max):
        return bool(args) and kwargs.keys() <= _NAMED[function] and not ("default" in kwargs and len(args) > 1)
    if function in _POSITIONAL:
        least, most = _POSITIONAL[function]
        return least <= len(args) <= most and (not kwargs or function is dict)
    signature = _signature(function)
    if signature is None:
        return True
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


@functools.cache
def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function) if isinstance(function, types.BuiltinFunctionType) else None
    except ValueError:
        return None
