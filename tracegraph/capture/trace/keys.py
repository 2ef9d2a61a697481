"""Keys of dicts and elements of sets: hashed and compared by C code, and guarded as if the trace had done it.

Real dicts and sets hold the program's own objects, so their `__hash__` and `__eq__` do run natively. Each is traced
first: that records what the answer depends on, and breaks the graph if the answer is not known or asking changes
something.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.texts import VaryingText
from tracegraph.capture.stack.values import (
    DICT_VIEW_TYPES,
    TUPLES,
    Observed,
    is_constant,
    is_instance_of_python_class,
    is_varying,
)
from tracegraph.capture.trace.adapters import is_plain_member
from tracegraph.capture.trace.safety import check_metaclass, flatten, is_followed, is_opaque, specialised

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def check_hashable(tracer: Tracer, key: Any, container: Iterable[Any] = ()) -> Any:
    """`key` fit for a dict or set in the trace; varying numbers become their values.

    Args:
        container: the keys it will be compared with.

    Raises:
        Observed: it is not hashable, or its `__hash__` raises.
        Break: hashing or comparing it cannot be traced.
    """
    if is_varying(key) or type(key) is VaryingText:
        key = specialised(tracer, key)
    elif type(key) in TUPLES and not is_constant(key):
        key = tuple.__new__(type(key), [check_hashable(tracer, k) for k in key])
    elif not is_constant(key):
        hash_of(tracer, key)
    note_key(tracer, key)
    if tracer.compares_keys:
        _note_equal(tracer, key, container)
    return key


def check_sought(tracer: Tracer, key: Any, container: Iterable[Any]) -> Any:
    """`key` fit to be looked for; a set is looked for in a set as a frozenset.

    Raises:
        Observed, Break: as `check_hashable`.
    """
    if type(key) is set and isinstance(container, set | frozenset):
        check_hashable(tracer, frozenset(key), container)
        return key
    return check_hashable(tracer, key, container)


def note_key(tracer: Tracer, key: Any) -> None:
    """Notice that from now on a container may hold a key which is compared by Python code."""
    tracer.compares_keys = tracer.compares_keys or any(map(_compares_in_python, flatten(key)))


def check_operands(tracer: Tracer, a: Any, b: Any) -> None:
    """What an operator on sets, dicts or their views hashes and compares.

    Raises:
        Observed, Break: as `check_hashable`.
    """
    if tracer.compares_keys and isinstance(a, _HASHED) and isinstance(b, _HASHED):
        for key in list(b):
            check_hashable(tracer, key, a)


_HASHED = (set, frozenset, dict, types.MappingProxyType, *DICT_VIEW_TYPES)


def hash_of(tracer: Tracer, key: Any) -> int:
    """`hash(key)` for anything but constants and varying numbers, traced or pinned.

    Raises:
        Observed, Break: as `check_hashable`.
    """
    if getattr(type(key), "__hash__", None) is None:
        raise Observed(TypeError(f"unhashable type: {type(key).__name__!r}"))
    if type(key) in TUPLES:
        return int(tracer.native(hash, tuple(check_hashable(tracer, k) for k in key)))
    if not is_instance_of_python_class(key):
        if is_opaque(tracer, key):
            raise Break(reasons.UNSUPPORTED_VALUE, f"an object of type {type(key).__name__} as a key")
        if isinstance(key, type) and type(key) is not type:
            check_metaclass(tracer, key)
        tracer.pin(key)
        return int(tracer.native(hash, key))
    method = tracer.class_entry(type(key), "__hash__")
    if isinstance(method, types.FunctionType) and not is_plain_member(key):
        return _traced_hash(tracer, key)
    if getattr(method, "__objclass__", object) is object or is_plain_member(key):
        tracer.pin(key)
    elif isinstance(key, tuple):
        for item in tuple.__iter__(key):
            check_hashable(tracer, item)
    elif not is_followed(tracer, key):
        raise Break(reasons.UNSUPPORTED_VALUE, f"the hash of an object of type {type(key).__name__}")
    return int(tracer.native(hash, key))


def _traced_hash(tracer: Tracer, key: Any) -> int:
    from tracegraph.capture.protocols.special_methods import special

    with tracer.effects.unchanging("hashing a key"):
        expected = specialised(tracer, special(tracer, key, "__hash__"))
    try:
        actual = tracer.native(hash, key)
    except Observed:
        # C code met what stands for a number that varies
        raise Break(reasons.UNSUPPORTED_VALUE, f"{type(key).__name__}.__hash__ of a number that varies") from None
    if type(expected) is not int or actual not in (expected, hash(expected)):
        raise Break(reasons.UNSUPPORTED_VALUE, f"{type(key).__name__}.__hash__ depends on what the trace changed")
    return int(actual)


def _compares_in_python(part: Any) -> bool:
    return is_instance_of_python_class(part) and not is_plain_member(part)


def _note_equal(tracer: Tracer, key: Any, container: Iterable[Any]) -> None:
    """Trace the comparisons of `key` with the keys of equal hash, if any of them runs Python code."""
    from tracegraph.capture.protocols.operators import compare
    from tracegraph.capture.protocols.special_methods import truth

    own = hash(key)
    is_compared = any(map(_compares_in_python, flatten(key)))
    for other in list(container):
        if other is key or not (is_compared or any(map(_compares_in_python, flatten(other)))) or hash(other) != own:
            continue
        with tracer.effects.unchanging("comparing a key"):
            expected = truth(tracer, compare(tracer, "==", other, key))
        if bool(tracer.native(operator.eq, other, key)) is not expected:
            raise Break(reasons.UNSUPPORTED_VALUE, f"{type(key).__name__}.__eq__ depends on what the trace changed")
