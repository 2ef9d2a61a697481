"""numpy on arrays from outside: computed by numpy itself, in every call, before the graph runs.

What a pure function of such arrays and of numbers that vary gives is a `Computed` source, like a number that the
program computes: an array that the graph may take as an input, a number that varies, or plain data, which is guarded.

    scale = np.sqrt(a.var(axis=0))     source: sqrt(var(a, axis=0))
    x * tg.from_numpy(scale)           input of the graph: that source
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Reference, Slot, Source, constant_source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import NUMPY_NUMBERS, SEQUENCES, TUPLES, is_constant, is_varying
from tracegraph.capture.trace.safety import flatten
from tracegraph.ops.core.definition import Definition

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

#: functions that write to an argument
_WRITING = frozenset({"copyto", "put", "place", "putmask", "fill_diagonal", "put_along_axis"})
#: methods of arrays that write to nothing and look at nothing but the array
METHODS = frozenset({
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "conj", "copy", "cumprod", "cumsum", "diagonal",
    "dot", "flatten", "item", "max", "mean", "min", "nonzero", "prod", "ravel", "repeat", "reshape", "round",
    "searchsorted", "squeeze", "std", "sum", "swapaxes", "take", "tolist", "trace", "transpose", "var",
})  # fmt: skip


def is_given(tracer: Tracer, value: Any) -> bool:
    """Whether `value` is an array from outside whose elements numpy may look at without running other code."""
    return type(value) is np.ndarray and tracer.is_outside(value) and not value.dtype.hasobject


def depends_on_call(tracer: Tracer, args: Any) -> bool:
    """Whether something in `args` may differ from call to call."""
    return any(is_varying(part) or is_given(tracer, part) for part in flatten(args))


def compute(tracer: Tracer, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`function(*args, **kwargs)`, now and in later calls.

    Raises:
        Observed: what numpy raises for the values of this call.
        Break: the function writes, or the graph has written to what it might read.
    """
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if isinstance(owner, np.ndarray):
        function, args = getattr(np.ndarray, name), (owner, *args)
    is_writing = "out" in kwargs or (isinstance(function, np.ufunc) and len(args) > function.nin)
    if is_writing or name in _WRITING or (isinstance(owner, np.ndarray) and name not in METHODS):
        raise Break(reasons.NATIVE_CALL, f"numpy.{name}(), which may write to an array")
    if any(isinstance(n.target, Definition) and n.target.mutates for n in tracer.builder.graph.calls):
        raise Break(reasons.NATIVE_CALL, f"numpy.{name}() after a write to a tensor, which may share memory")
    operands = (*args, *kwargs.values())
    result = tracer.native(function, *map(_value(tracer), args), **{k: _value(tracer)(v) for k, v in kwargs.items()})
    sources = tuple(argument_source(tracer, o) for o in operands)
    source = Computed(Reference(_with_names(function, tuple(kwargs))), sources)
    return _read(tracer, result, source, operands)


def _read(tracer: Tracer, result: Any, source: Source, operands: tuple[Any, ...]) -> Any:
    if type(result) in NUMPY_NUMBERS and tracer.dynamism.dynamic is not False:
        number = tracer.numbers.number(result, source)
        tracer.backward_reads.note(source, number)
        return number
    if type(result) is not np.ndarray or tracer.is_outside(result):
        return tracer.read(result, source)
    # that it is an array follows from the kinds of the operands: it need not be computed to be guarded
    for part in flatten(operands):
        if is_given(tracer, part):
            given = tracer.source_of(part)
            assert given is not None
            tracer.guards.add(GuardKind.TYPE, given, np.ndarray)
            tracer.read(part.dtype, Slot(given, "dtype"))
            tracer.read(part.ndim, Slot(given, "ndim"))
    return tracer.adopt(result, result, source)


@functools.cache
def _with_names(function: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """`function` of positional arguments only, the last of which are those called `names`."""
    if not names:
        return function

    def call(*args: Any) -> Any:
        return function(*args[: -len(names)], **dict(zip(names, args[-len(names) :], strict=True)))

    call.__name__ = function.__name__
    return call


def _value(tracer: Tracer) -> Callable[[Any], Any]:
    def value(operand: Any) -> Any:
        if type(operand) in SEQUENCES:
            return type(operand)(map(value, operand))
        if type(operand) is slice:
            return slice(*map(value, (operand.start, operand.stop, operand.step)))
        return tracer.numbers.value(operand)

    return value


def is_argument(tracer: Tracer, operand: Any) -> bool:
    """Whether later calls find an argument (see `argument_source`)."""
    if type(operand) in _MAKERS:
        parts = (operand.start, operand.stop, operand.step) if type(operand) is slice else operand
        return all(is_argument(tracer, p) for p in parts)
    is_data = is_varying(operand) or is_constant(operand) or isinstance(operand, type | np.dtype)
    is_own = isinstance(operand, np.ndarray) and not tracer.is_outside(operand)
    return is_data or is_own or is_given(tracer, operand)


def argument_source(tracer: Tracer, operand: Any) -> Source:
    """Where later calls find an argument.

    Raises:
        Break: they do not.
    """
    if is_varying(operand):
        return tracer.numbers.source(operand)
    if is_given(tracer, operand):
        found = tracer.source_of(operand)
        assert found is not None
        return found
    if isinstance(operand, np.ndarray) and not tracer.is_outside(operand):
        return constant_source(operand.copy())  # the trace may write to its own
    if is_constant(operand) or isinstance(operand, type | np.dtype):
        return constant_source(operand)
    if type(operand) in _MAKERS:
        parts = (operand.start, operand.stop, operand.step) if type(operand) is slice else operand
        return Computed(Reference(_MAKERS[type(operand)]), tuple(argument_source(tracer, p) for p in parts))
    raise Break(reasons.NATIVE_CALL, f"a function of numpy on an object of type {type(operand).__name__}")


def _as_list(*items: Any) -> list[Any]:
    return list(items)


def _as_tuple(*items: Any) -> tuple[Any, ...]:
    return items


_MAKERS: dict[type, Callable[..., Any]] = {list: _as_list, **dict.fromkeys(TUPLES, _as_tuple), slice: slice}
