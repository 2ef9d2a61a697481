"""Tensors from Python and numpy data."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.core.arguments import described, is_tensor
from tracegraph.ops.core.device import Device, check_device
from tracegraph.tensor.nested import check_nested
from tracegraph.tensor.tensor import Tensor


def tensor(
    data: Any, dtype: DType | str | None = None, requires_grad: bool = False, device: Device | str | None = None
) -> Tensor:
    """A new tensor with a copy of `data`: a number, nested sequences, a numpy array or a tensor.

    Python floats become the default dtype (float32), integers int64, bools bool, unless `dtype` says otherwise; numpy
    arrays and tensors keep their dtype, and among numbers in a sequence the dtypes are promoted.

    Raises:
        ValueRangeError: `data` is ragged or holds an integer beyond 64 bits; the message says where. Or a number does
            not fit an integer `dtype`.
        ArgumentError: `data` holds something other than numbers; the message says where.
        DTypeError: the elements have no tracegraph dtype, or `requires_grad` with a dtype that is not floating.
    """
    check_device(device)
    wanted = dtypes.as_dtype(dtype) if dtype is not None else None
    array = _array_of(data, wanted)
    if wanted is not None and wanted.is_integer and not isinstance(data, Tensor | np.ndarray | np.generic):
        _check_fits(array, wanted)
    result = Tensor(np.array(array, dtype=wanted.np if wanted else None, order="C"))
    return result.requires_grad_() if requires_grad else result


def as_tensor(data: Any, dtype: DType | str | None = None, device: Device | str | None = None) -> Tensor:
    """`data` as a tensor, sharing memory where possible (tensors and numpy arrays of the right dtype)."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtypes.as_dtype(dtype))
    if isinstance(data, np.ndarray) and (dtype is None or dtypes.as_dtype(dtype).np == data.dtype):
        return from_numpy(data)
    return tensor(data, dtype)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares memory with `array`; if that is read-only, so is the tensor.

    Raises:
        ArgumentError: `array` is no numpy array.
        DTypeError: its dtype has no tracegraph counterpart.
    """
    if not isinstance(array, np.ndarray):
        raise ArgumentError(f"from_numpy: expected a numpy array, got {type(array).__name__}")
    return Tensor(array)


def _array_of(data: Any, wanted: DType | None) -> np.ndarray:
    if isinstance(data, Tensor):
        return data._np
    if isinstance(data, np.ndarray | np.generic):
        dtypes.from_numpy(data.dtype)
        return np.asarray(data)
    kinds: set[type | DType] = set()
    numbers = _numbers(data, kinds)
    try:
        array = np.asarray(numbers)
    except (ValueError, TypeError):
        array = np.empty((), dtype=object)
    if array.dtype.kind not in "biuf":
        check_nested(numbers, "data")
        raise ArgumentError(
            f"tensor(): data must be numbers, nested lists of numbers or an array, got {described(data)}"
        )
    if wanted is not None:
        return array
    if kinds <= _PYTHON_NUMBERS and array.dtype.kind == "u":
        raise ValueRangeError(f"tensor(): data holds {array.max()}, which int64, the dtype of Python ints, cannot hold")
    return array.astype(common_dtype(kinds).np)


def _check_fits(array: np.ndarray, dtype: DType) -> None:
    """Check that Python numbers fit an integer dtype; a negative one fits an unsigned dtype if its absolute value does.

    Raises:
        ValueRangeError: one does not.
    """
    info = np.iinfo(dtype.np)
    low = info.min if dtype.is_signed else -info.max
    for extreme in (array.min(), array.max()) if array.size else ():
        if not low <= extreme <= info.max:
            raise ValueRangeError(
                f"tensor(): data holds {extreme}, which {dtype.long_name} cannot hold ({info.min} to {info.max})"
            )


_PYTHON_NUMBERS: frozenset[Any] = frozenset((bool, int, float))


def _numbers(data: Any, kinds: set[type | DType]) -> Any:
    """Nested sequences with plain numbers in place of the tensors, arrays and numpy numbers in them.

    `kinds` collects the types of the numbers, or the dtypes if they have one.
    """
    if type(data) in _PYTHON_NUMBERS:
        kinds.add(type(data))
    elif isinstance(data, list | tuple):
        return [_numbers(d, kinds) for d in data]
    elif is_tensor(data):
        kinds.add(data.dtype)
        return data.tolist()
    elif isinstance(data, np.ndarray | np.generic):
        kinds.add(dtypes.from_numpy(data.dtype))
        return data.tolist()
    elif isinstance(data, int | float):
        kinds.add(int if isinstance(data, int) else float)
    return data


def common_dtype(kinds: Iterable[type | DType]) -> DType:
    """The dtype of a tensor made of numbers of these Python types, and numbers that have these dtypes."""
    defaults = {bool: dtypes.bool_, int: dtypes.int64, float: dtypes.DEFAULT.dtype}
    found = [kind if isinstance(kind, DType) else defaults[kind] for kind in kinds]
    return functools.reduce(dtypes.promote_types, found) if found else dtypes.DEFAULT.dtype
