"""Canonical forms of attributes: dimensions counted from 0, sizes as tuples, dtypes as DType."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, DTypeError, IndexRangeError
from tracegraph.ir.dim import SymExpr, as_float
from tracegraph.ops.core.arguments import FLOAT_TYPES, described, is_number
from tracegraph.ops.core.size import Size

#: takes the op, the parameter, the value given and the rank of the first operand; the value as graphs hold it
Form = Callable[[str, str, Any, int], Any]


def normalize_dim(op: str, name: str, dim: Any, rank: int) -> int:
    """`dim` counted from 0. A 0-d tensor takes 0 and -1, as in PyTorch.

    Raises:
        IndexRangeError: out of range; the message gives the range.
    """
    index = _int(op, name, dim)
    if isinstance(index, SymExpr):
        index = int(index)  # a graph has a fixed number of dimensions
    limit = max(rank, 1)
    if not -limit <= index < limit:
        raise IndexRangeError(f"{op}: {name}={index} is out of range for {rank} dimensions [{-limit}, {limit - 1}]")
    return index + limit if index < 0 else index


def _existing_dim(op: str, name: str, dim: Any, rank: int) -> int:
    """`dim` of a tensor that must have one."""
    index = normalize_dim(op, name, dim, rank)
    if not rank:
        raise IndexRangeError(f"{op}: {name}={index}, but the tensor has no dimensions")
    return index


def _int(op: str, name: str, value: Any, rank: int = 0) -> Any:
    if isinstance(value, SymExpr):
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ArgumentError(f"{op}: argument {name!r} must be an int, got {described(value)}")
    return value.__index__()


def _float(op: str, name: str, value: Any, rank: int) -> Any:
    if type(value) in FLOAT_TYPES:
        return value
    if type(value) is SymExpr:
        return as_float(value)
    if isinstance(value, bool) or not (isinstance(value, int | float) or hasattr(value, "__float__")):
        raise ArgumentError(f"{op}: argument {name!r} must be a number, got {described(value)}")
    return float(value)


def _number(op: str, name: str, value: Any, rank: int) -> Any:
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return value.item()
    if is_number(value):
        return value
    raise ArgumentError(f"{op}: argument {name!r} must be a number, got {described(value)}")


def _bool(op: str, name: str, value: Any, rank: int) -> bool:
    if not isinstance(value, bool | int):
        raise ArgumentError(f"{op}: argument {name!r} must be a bool, got {described(value)}")
    return bool(value)


def _str(op: str, name: str, value: Any, rank: int) -> str:
    if not isinstance(value, str):
        raise ArgumentError(f"{op}: argument {name!r} must be a string, got {described(value)}")
    return value


def _dims(op: str, name: str, value: Any, rank: int) -> tuple[int, ...] | None:
    """One dim or several, without repetition; None (all) stays None."""
    if value is None:
        return None
    items = tuple(value) if isinstance(value, list | tuple) else (value,)
    found = tuple(normalize_dim(op, name, v, rank) for v in items)
    if len(set(found)) != len(found):
        raise ArgumentError(f"{op}: {name}={list(items)} names a dimension twice")
    return found


def _ints(op: str, name: str, value: Any, rank: int) -> tuple[Any, ...]:
    """A size, shift or the like: one int or several; entries may be symbolic."""
    items = tuple(value) if isinstance(value, list | tuple) else (value,)
    return tuple(_int(op, name, v) for v in items)


def _int_or_ints(op: str, name: str, value: Any, rank: int) -> Any:
    """One int, which stays one, or several."""
    return _ints(op, name, value, rank) if isinstance(value, list | tuple) else _int(op, name, value)


def _sizes_or_none(op: str, name: str, value: Any, rank: int) -> Any:
    """As `_int_or_ints`, where None stands for a size that is known otherwise."""
    if isinstance(value, list | tuple):
        return tuple(_sizes_or_none(op, name, v, rank) for v in value)
    return None if value is None else _int(op, name, value)


def _pair(op: str, name: str, value: Any, rank: int) -> tuple[int, int]:
    """`3` means (3, 3)."""
    items = _ints(op, name, value, rank)
    if len(items) == 1:
        return items[0], items[0]
    if len(items) != 2:
        raise ArgumentError(f"{op}: argument {name!r} must be an int or two ints, got {described(value)}")
    return items


def _dtype(op: str, name: str, value: Any, rank: int) -> dtypes.DType:
    try:
        return dtypes.as_dtype(value)
    except DTypeError as e:
        raise DTypeError(f"{op}: argument {name!r}: {e}") from None


def _any(op: str, name: str, value: Any, rank: int) -> Any:
    return tuple(value) if type(value) is Size or isinstance(value, list) else value


def _or_none(form: Form) -> Form:
    def optional(op: str, name: str, value: Any, rank: int) -> Any:
        return None if value is None else form(op, name, value, rank)

    return optional


#: the canonical form of an attribute, by its sort
CANONICAL: dict[str, Form] = {
    "int": _int,
    "OptionalInt": _or_none(_int),
    "float": _float,
    "OptionalFloat": _or_none(_float),
    "number": _number,
    "OptionalNumberAttr": _or_none(_number),
    "bool": _bool,
    "str": _str,
    "OptionalStr": _or_none(_str),
    "dim": normalize_dim,
    "OptionalDim": _or_none(normalize_dim),
    "existing_dim": _existing_dim,
    "dims": _dims,
    "ints": _ints,
    "size": _ints,
    "int_or_ints": _int_or_ints,
    "sizes_or_none": _sizes_or_none,
    "OptionalInts": _or_none(_ints),
    "pair": _pair,
    "OptionalPair": _or_none(_pair),
    "dtype": _dtype,
    "OptionalDtype": _or_none(_dtype),
    "any": _any,
}
