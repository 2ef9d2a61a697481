"""Methods of Python's and numpy's random generators.

One from outside draws in every call (`trace/native_draws.py`). One that the trace has made of a seed gives the same
numbers in every call: it draws once, for all.
"""

from __future__ import annotations

import random
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.objects import attributes
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import NUMPY_NUMBERS, is_constant, is_varying
from tracegraph.capture.tensors.computed_arrays import argument_source, is_argument
from tracegraph.capture.trace.native_draws import GENERATORS
from tracegraph.capture.trace.numbers import IntegerRange
from tracegraph.capture.trace.safety import flatten, specialised

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


@dataclass(frozen=True)
class _Method:
    """What a method of a generator does.

    Attributes:
        gives_numbers: all that it does is to give numbers, or an array of them, or to set the generator.
        fills: it changes the list or array that is its first argument.
    """

    gives_numbers: bool = True
    fills: bool = False


_DRAWING = _Method()
_OTHER = _Method(gives_numbers=False)
#: those that do something else, by name: classes of generators agree about what a name means
_METHODS: dict[str, _Method] = {
    "shuffle": _Method(gives_numbers=False, fills=True),
    **dict.fromkeys(("getstate", "setstate", "get_state", "set_state"), _OTHER),
    **dict.fromkeys(("bytes", "randbytes", "spawn"), _OTHER),
}


def _method(name: str) -> _Method:
    return _OTHER if name.startswith("_") else _METHODS.get(name, _DRAWING)


def is_drawing(function: Any) -> bool:
    """Whether a callable is a method of a random generator, as its class defines it."""
    owner = getattr(function, "__self__", None)
    if type(owner) not in GENERATORS:
        return False
    method = getattr(type(owner), function.__name__, None)
    return method is not None and (type(function) is not types.MethodType or function.__func__ is method)


def call_method(tracer: Tracer, method: Any, args: Args, kwargs: Kwargs) -> Any:
    """A method of a random generator.

    Raises:
        Observed: it raises.
        Break: what it does cannot be followed.
    """
    generator = method.__self__
    if type(method) is types.MethodType:
        attributes.method_parts(tracer, method)
    if tracer.is_fresh(generator):
        return _draw_now(tracer, method, args, kwargs)
    name = method.__name__
    values = (*args, *kwargs.values())
    if not _method(name).gives_numbers or not all(is_argument(tracer, value) for value in values):
        raise _refused(method)
    operands = tuple(argument_source(tracer, value) for value in values)
    value = tracer.numbers.value
    result, source = tracer.draws.draw(
        generator, name, tuple(map(value, args)), operands, {k: value(v) for k, v in kwargs.items()}
    )
    if result is None:
        return None
    among = _range(type(generator), name, args) if type(result) is int and not kwargs else None
    if among is not None and among.low <= result <= among.high:
        return tracer.numbers.drawn_int(result, source, among)
    if type(result) in (int, float) or type(result) in NUMPY_NUMBERS:
        return tracer.numbers.number(result, source)
    if type(result) is np.ndarray and not result.dtype.hasobject:
        return tracer.adopt(result, result, source)
    raise _refused(method)


def _range(generator: type, name: str, args: Args) -> IntegerRange | None:
    """The ints that a method may give, as far as its arguments tell: the call makes sure of what is drawn."""
    match name, args:
        case "randint", (int(low), int(high)) if generator is random.Random:
            return IntegerRange(low, high)
        case "randint" | "randrange", (int(end),):
            return IntegerRange(0, end - 1)
        case "randint" | "randrange", (int(low), int(end)):
            return IntegerRange(low, end - 1)
        case "randrange", (int(start), int(end), int(step)):
            return IntegerRange(min(start, end - step), max(start, end - step))
        case "getrandbits", (int(bits),) if bits < 63:
            return IntegerRange(0, (1 << bits) - 1)
        case "choice", (list() | tuple() as items,) if all(type(i) is int for i in items):
            return IntegerRange(min(items), max(items))
    return None


def _refused(method: Any) -> Break:
    return Break(reasons.SIDE_EFFECT_CALL, f"{type(method.__self__).__name__}.{method.__name__}()")


def _draw_now(tracer: Tracer, method: Any, args: Args, kwargs: Kwargs) -> Any:
    """A method of a generator that the trace has made."""
    args, kwargs = tuple(specialised(tracer, a) for a in args), {k: specialised(tracer, v) for k, v in kwargs.items()}
    if _method(method.__name__).fills and type(args[0]) is list:
        tracer.effects.note_write()
    elif not all(is_constant(p) or (type(p) is np.ndarray and tracer.is_fresh(p)) for p in flatten((args, kwargs))):
        raise Break(reasons.NATIVE_CALL, f"{method.__name__}() of a random generator, of something other than data")
    result = tracer.native(method, *args, **kwargs)
    if type(result) is np.ndarray:
        tracer.fresh(result)
    return result


def _call_maker(maker: Any) -> Any:
    """The handler of what makes a generator: one with a seed is the same in every call."""

    def make(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Any) -> Any:
        values = (*args, *kwargs.values())
        if not values or any(v is None or is_varying(v) for v in values) or not all(map(is_constant, values)):
            raise Break(reasons.SIDE_EFFECT_CALL, f"{maker.__name__}() without a seed known beforehand")
        return tracer.fresh(tracer.native(maker, *args, **kwargs))

    return make


_SHARED: Any = vars(np.random)["rand"].__self__


def _call_seed(tracer: Tracer, args: Args, kwargs: Kwargs, frame: Any) -> Any:
    """`np.random.seed`, the one function of numpy's shared generator that is no method of it."""
    return call_method(tracer, _SHARED.seed, args, kwargs)


#: handlers by function
HANDLERS: dict[Any, Any] = {
    maker: _call_maker(maker) for maker in (random.Random, np.random.RandomState, np.random.default_rng)
} | {np.random.seed: _call_seed}
