"""Wrappers that let C code call back into the trace: `map(f, xs)` runs natively over `CallableAdapter(f)`.

`adapted` puts an `ObjectAdapter` in the place of every object whose special methods are Python code, so that C code
may compare, sort and print containers of such objects: what it asks of them is traced, in CPython's order.
"""

from __future__ import annotations

import collections
import enum
import operator
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING, class_lookup
from tracegraph.capture.stack.values import (
    DICT_VIEW_TYPES,
    SEQUENCES,
    STAND_INS,
    Observed,
    is_instance_of_python_class,
    is_varying,
)

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def called_back(function: Callable[[], Any]) -> Any:
    """Call into the trace from C code: an exception of the program is raised as itself, causes and all."""
    try:
        return function()
    except Observed as observed:
        error = observed.for_native_code()
    raise error


def _known(tracer: Tracer, answer: Any) -> Any:
    from tracegraph.capture.trace.safety import specialised

    return specialised(tracer, answer)


class CallableAdapter:
    """Calls a function of the traced program symbolically when C code calls it."""

    def __init__(self, tracer: Tracer, function: Any) -> None:
        self._tracer = tracer
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from tracegraph.capture.calls.callables import call

        return called_back(lambda: call(self._tracer, self.function, args, kwargs))


class ValueAdapter(CallableAdapter):
    """Gives numbers and texts that vary as what they are, to C code that looks into the answer."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        answer = super().__call__(*args, **kwargs)
        return called_back(lambda: _known(self._tracer, answer))


class DecisionAdapter(CallableAdapter):
    """The truth of what a function of the traced program answers, or without a function of the argument itself."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from tracegraph.capture.calls.callables import call

        def decide() -> bool:
            answer = args[0] if self.function is None else call(self._tracer, self.function, args, kwargs)
            return bool(call(self._tracer, bool, (answer,), {}))

        return called_back(decide)


class KeyAdapter(CallableAdapter):
    """What a function of the traced program answers, or the argument itself, for C code that compares it with others.

    Raises:
        Break: that would run the program's code.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        key = args[0] if self.function is None else super().__call__(*args, **kwargs)
        if is_instance_of_python_class(key) and isinstance(class_lookup(type(key), "__eq__"), types.FunctionType):
            raise Break(reasons.UNSUPPORTED_VALUE, f"objects of type {type(key).__name__} as keys that C code compares")
        return key


class IteratorAdapter:
    """Advances an iterator of the traced program symbolically when C code asks for its next item.

    Args:
        origin: the object that is iterated; C code that makes room for the items asks for its length first.
    """

    def __init__(self, tracer: Tracer, iterator: Any, origin: Any) -> None:
        self._tracer = tracer
        self.iterator = iterator
        self._origin = origin

    def __iter__(self) -> IteratorAdapter:
        return self

    def __next__(self) -> Any:
        from tracegraph.capture.protocols.iteration import advance

        return called_back(lambda: advance(self._tracer, self.iterator))

    def __length_hint__(self) -> Any:
        from tracegraph.capture.protocols.special_methods import special

        length = called_back(lambda: special(self._tracer, self._origin, "__len__"))
        return 0 if is_varying(length) else length


class ObjectAdapter:
    """Compares, hashes and prints as the object it holds, by tracing that object's special methods."""

    def __init__(self, tracer: Tracer, value: Any) -> None:
        self._tracer = tracer
        self.value = value

    def _trace(self, function: Callable[..., Any], *args: Any) -> Any:
        return called_back(lambda: function(self._tracer, *args))

    def _compare(self, symbol: str, other: Any) -> Any:
        from tracegraph.capture.protocols.operators import compare
        from tracegraph.capture.protocols.special_methods import truth

        other = other.value if isinstance(other, ObjectAdapter) else other
        return self._trace(lambda tracer: truth(tracer, compare(tracer, symbol, self.value, other)))

    def __eq__(self, other: object) -> Any:
        return self._compare("==", other)

    def __ne__(self, other: object) -> Any:
        return self._compare("!=", other)

    def __lt__(self, other: object) -> Any:
        return self._compare("<", other)

    def __le__(self, other: object) -> Any:
        return self._compare("<=", other)

    def __gt__(self, other: object) -> Any:
        return self._compare(">", other)

    def __ge__(self, other: object) -> Any:
        return self._compare(">=", other)

    def __hash__(self) -> int:
        from tracegraph.capture.trace.keys import hash_of

        return int(self._trace(hash_of, self.value))

    def __int__(self) -> Any:
        return self._number(int, "__int__")

    def __float__(self) -> Any:
        return self._number(float, "__float__")

    def __index__(self) -> Any:
        return self._number(operator.index, "__index__")

    def _number(self, function: Any, name: str) -> Any:
        """What C code that fills in a text asks of a number.

        Raises:
            Break: the object is none; C code would have known that from its class.
        """
        from tracegraph.capture.calls.callables import call

        if self._tracer.class_entry(type(self.value), name) is MISSING:
            raise Break(reasons.NATIVE_CALL, f"an object of type {type(self.value).__name__} as a number")
        return self._trace(call, function, (self.value,), {})

    def _text(self, function: Any, *args: Any) -> Any:
        from tracegraph.capture.calls.callables import call

        return _known(self._tracer, self._trace(call, function, (self.value, *args), {}))

    def __str__(self) -> Any:
        return self._text(str)

    def __repr__(self) -> Any:
        return self._text(repr)

    def __format__(self, spec: str) -> Any:
        return self._text(format, spec)

    def __getattr__(self, name: str) -> Any:
        """An attribute named in a format string."""
        if name.startswith("__"):
            raise AttributeError(name)
        from tracegraph.capture.objects.attributes import get

        return adapted(self._tracer, self._trace(get, self.value, name))

    def __getitem__(self, key: Any) -> Any:
        """An item named in a format string."""
        from tracegraph.capture.protocols.containers import subscript

        return adapted(self._tracer, self._trace(subscript, self.value, key))


def adapted(tracer: Tracer, value: Any) -> Any:
    """`value` with every object of a Python class replaced by its adapter (one per object), itself if there is none.

    Raises:
        Break: the objects are elements of a set, whose order an adapter would change, or lie too deep.
    """
    return _adapted(tracer, value, {}, 0)


def _adapted(tracer: Tracer, value: Any, adapters: dict[int, ObjectAdapter], depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise Break(reasons.UNSUPPORTED_VALUE, "a container nested too deeply, or in itself")
    if is_instance_of_python_class(value):
        if is_plain_member(value):
            for name in _ASKED_OF_MEMBERS:
                tracer.class_entry(type(value), name)  # guarded: a class may be given methods of its own
            return value
        return adapters.setdefault(id(value), ObjectAdapter(tracer, value))

    def inner(part: Any) -> Any:
        return _adapted(tracer, part, adapters, depth + 1)

    kind = type(value)
    if kind in (set, frozenset) and any(inner(v) is not v for v in value):
        raise Break(reasons.UNSUPPORTED_VALUE, "objects of a Python class in a set that C code looks into")
    if kind in SEQUENCES or kind is collections.deque:
        items = [inner(v) for v in value]
        return value if all(map(operator.is_, items, value)) else _like(value, items)
    if kind in (dict, collections.OrderedDict, collections.defaultdict):
        pairs = [(inner(k), inner(v)) for k, v in value.items()]
        if all(a is k and b is v for (a, b), (k, v) in zip(pairs, value.items(), strict=True)):
            return value
        return collections.OrderedDict(pairs) if isinstance(value, collections.OrderedDict) else dict(pairs)
    if kind is slice:
        bounds = [inner(v) for v in (value.start, value.stop, value.step)]
        return value if all(map(operator.is_, bounds, (value.start, value.stop, value.step))) else slice(*bounds)
    if kind is types.MappingProxyType or isinstance(value, DICT_VIEW_TYPES):
        held = list(value.items()) if kind is types.MappingProxyType else list(value)
        if any(inner(v) is not v for v in held):
            raise Break(reasons.UNSUPPORTED_VALUE, f"objects of a Python class in a {kind.__name__} given to C code")
    return value


def _like(value: Any, items: list[Any]) -> Any:
    return collections.deque(items, value.maxlen) if isinstance(value, collections.deque) else type(value)(items)


def is_plain_member(value: Any) -> bool:
    """Whether `value` is a member of an Enum that compares and prints as the enum module has it."""
    if not isinstance(value, enum.Enum):
        return False
    methods = (class_lookup(type(value), name) for name in _MEMBER_METHODS)
    return not any(isinstance(m, types.FunctionType) and m.__module__ != "enum" for m in methods)


_MEMBER_METHODS = ("__eq__", "__hash__", "__lt__", "__gt__", "__le__", "__ge__", "__str__", "__repr__", "__format__")
_ASKED_OF_MEMBERS = ("__eq__", "__str__", "__repr__", "__format__")
_MAX_DEPTH = 20

for _adapter in (CallableAdapter, ValueAdapter, DecisionAdapter, KeyAdapter):
    STAND_INS[_adapter] = None
STAND_INS[ObjectAdapter] = None
STAND_INS[IteratorAdapter] = None
