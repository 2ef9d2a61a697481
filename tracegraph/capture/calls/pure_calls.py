"""Functions that compute from their arguments alone, and so may run natively, on what the trace knows."""

from __future__ import annotations

import cmath
import fractions
import json
import math
import operator
import os
import struct
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph import dtypes
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import is_constant, is_varying
from tracegraph.capture.trace.safety import flatten, with_values
from tracegraph.tensor.questions import can_cast

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

_C_MODULES = (math, cmath, operator)
_C_FUNCTIONS = (abs, bin, chr, divmod, hex, oct, ord, pow, round, sum, min, max, sorted, any, all, str.maketrans,
                sys.intern, bytes.maketrans)  # fmt: skip
_PURE = frozenset(
    id(f) for module in _C_MODULES for f in vars(module).values() if isinstance(f, types.BuiltinFunctionType)
) | frozenset(map(id, _C_FUNCTIONS))
#: of those, the ones that keep symbolic sizes symbolic
_SYMBOLIC = frozenset(map(id, (abs, divmod, min, max, sum, operator.neg)))


def is_pure(function: Any) -> bool:
    """Whether a C function looks at its arguments and at nothing else."""
    return id(function) in _PURE or isinstance(function, operator.itemgetter)


def keeps_symbols(function: Any) -> bool:
    """Whether a pure function of symbolic sizes is one itself."""
    return id(function) in _SYMBOLIC


# ------------------------------------------------------------------------------------------ on plain data


def call_on_data(function: Any) -> Callable[..., Any]:
    """The handler of a function that looks deep into its arguments: it runs if they are data all the way down."""

    def handle(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Any) -> Any:
        if not is_data((*args, *kwargs.values())):
            name = getattr(function, "__qualname__", type(function).__name__)
            raise Break(reasons.NATIVE_CALL, f"{function.__module__}.{name}() of something other than plain data")
        values = (with_values(tracer, a) for a in args)
        return tracer.native(function, *values, **{k: with_values(tracer, v) for k, v in kwargs.items()})

    return handle


def is_data(values: Any) -> bool:
    """Whether `values`, containers among them looked into, are constants and numbers."""
    return all(is_constant(part) or is_varying(part) for part in flatten(values))


def is_method_of_data(function: Any, owner: Any) -> bool:
    """Whether a Python function is a method of a class of immutable data: it depends on its operands alone."""
    top = (getattr(function, "__module__", None) or "").partition(".")[0]
    if top == "pathlib":
        # of a path, what does not ask the file system
        return is_constant(owner) and function.__qualname__.startswith("PurePath")
    return top == "fractions" and (is_constant(owner) or owner is fractions.Fraction)


_ON_DATA = (
    json.dumps,
    json.loads,
    struct.pack,
    struct.unpack,
    struct.calcsize,
    os.fspath,
    dtypes.promote_types,
    can_cast,
)
#: handlers by function
HANDLERS: dict[Any, Callable[..., Any]] = {f: call_on_data(f) for f in _ON_DATA}
