"""Python numbers among tensors: which element of a dtype a number stands for.

A number that meets a tensor does not change the tensor's dtype, but for the category. Where it takes part in
arithmetic or is compared, it is an int64 tensor without dimensions, converted: it wraps around (`uint8 < -3` asks for
`< 253`). Where it becomes an element, or limits elements, it has to fit. Both as in PyTorch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError, UndecidableError
from tracegraph.ir.dim import SymExpr
from tracegraph.ops.core.sym_float import SymFloat

Number = bool | int | float | SymExpr | SymFloat

#: integers that fit every dtype
SMALL = range(-128, 128)
_I64, _U64 = 1 << 63, 1 << 64


def wrapped(value: Number, dtype: DType) -> Number:
    """`value` as the Python number of an element of `dtype`: integers wrap around, floats become integers.

    Numbers that are symbolic stay so.

    Raises:
        DTypeError: an integer that is not even a 64-bit number, for an integer dtype.
    """
    if isinstance(value, SymExpr):
        return value
    if dtype.is_floating:
        return value if isinstance(value, SymFloat) else float(value)
    if dtype.is_bool:
        return bool(value)
    if isinstance(value, SymFloat):
        value = float(value)
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) and abs(value) < _I64 else -_I64  # as casts of tensors have it
    if not -_I64 <= value < _U64:
        raise DTypeError(f"the number {value} does not fit {dtype.long_name}, nor any 64 bits; use a float")
    return wrap_around(value, dtype)


def wrap_around(value: int, dtype: DType) -> int:
    """`value` modulo 2**bits, in the range of an integer dtype."""
    size = 1 << 8 * dtype.itemsize
    low = -(size >> 1) if dtype.is_signed else 0
    return (value - low) % size + low


def fitting(op: str, name: str, value: Any, dtype: DType) -> Any:
    """`value`, argument `name` of `op`, as the Python number of an element of `dtype`.

    A negative number fits an unsigned dtype if its absolute value does; it wraps around.

    Raises:
        DTypeError: it does not fit; for a symbolic size, does not for the sizes at hand, which is guarded.
    """
    if not dtype.is_integer:
        return wrapped(value, dtype)
    number = value
    if not isinstance(number, int | SymExpr):
        number = float(number)
        number = int(number) if math.isfinite(number) else number
    info = np.iinfo(dtype.np)
    low, high = (int(info.min), int(info.max)) if dtype.is_signed else (-int(info.max), int(info.max))
    if isinstance(number, float) or not _lies_within(number, low, high):
        raise DTypeError(
            f"{op}: {name}={value} does not fit {dtype.long_name}, which holds {info.min} to {info.max}; convert the "
            "tensor to a wider dtype first"
        )
    return wrapped(number, dtype)


def _lies_within(value: int | SymExpr, low: int, high: int) -> bool:
    try:
        return bool(low <= value <= high)
    except UndecidableError:  # nobody is there to guard it
        return True
