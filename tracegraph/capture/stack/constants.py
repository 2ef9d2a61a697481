"""When two constants are the same to every program that could look at them."""

from __future__ import annotations

import decimal
import math
import types
from typing import Any

import numpy as np

from tracegraph.capture.stack.values import CONSTANT_TYPES
from tracegraph.dtypes import DType
from tracegraph.ops.core.device import Device

#: classes whose equal objects nothing tells apart
EQUAL_IS_SAME = frozenset({int, bool, str, bytes, type(None), types.CodeType, DType, Device})


def same_constant(a: Any, b: Any) -> bool:
    """Equality that tells 0.0 from -0.0, 1 from True, one order of a set or union from another, 1.00 from 1.0 and one
    moment in two time zones; nan equals itself.

    What else stands among the elements of constants (classes, functions) is told by its identity.
    """
    if a is b or type(a) is not type(b):
        return a is b
    if type(a) in EQUAL_IS_SAME:
        return bool(a == b)
    if isinstance(a, float):
        return (a == b and math.copysign(1.0, a) == math.copysign(1.0, b)) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, np.generic):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    parts = _parts(a)
    if parts is not None:
        others = _parts(b) or ()
        return len(parts) == len(others) and all(map(same_constant, parts, others))
    if isinstance(a, decimal.Decimal):
        return repr(a) == repr(b)  # one that is no number is not equal to itself
    return type(a) in CONSTANT_TYPES and repr(a) == repr(b) and bool(a == b)


def _parts(value: Any) -> tuple[Any, ...] | None:
    """What a constant consists of, in the order in which a program would meet it; None if it has no parts."""
    if isinstance(value, complex):
        return value.real, value.imag
    if isinstance(value, slice):
        return value.start, value.stop, value.step
    return tuple(value) if isinstance(value, tuple | frozenset) else None
