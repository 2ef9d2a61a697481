"""What the user says of a tensor's sizes before it is given to a compiled function: this one varies, that one never.

The marks stand beside the tensors, held weakly: marking keeps no tensor alive and costs unmarked ones nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracegraph.capture import eager
from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.canonical import normalize_dim


@dataclass(frozen=True)
class SizeMark:
    """One marked size: symbolic between `min` and `max` (None: no bound) from the first call, or never symbolic."""

    is_dynamic: bool
    min: int | None = None
    max: int | None = None


#: by id of the tensor: a reference that ends the entry with the tensor, and the marks by dimension
_MARKS: dict[int, tuple[weakref.ref[Any], dict[int, SizeMark]]] = {}
_NONE: Mapping[int, SizeMark] = {}


def marks_of(tensor: Any) -> Mapping[int, SizeMark]:
    """The marks of a tensor by dimension."""
    entry = _MARKS.get(id(tensor)) if _MARKS else None
    return entry[1] if entry is not None and entry[0]() is tensor else _NONE


def mark_dynamic(tensor: Any, dim: int | tuple[int, ...], *, min: int | None = None, max: int | None = None) -> None:
    """Say that a size of `tensor` varies, so that it is symbolic from the first call on.

    Sizes 0 and 1 still get graphs of their own. A function that turns out to work for one size only raises
    ConstraintViolationError when it is compiled, and so does a first size outside [min, max]; later sizes outside
    are compiled anew.

    Args:
        dim: the dimension, or several.
        min: the least size that the compiled code must serve.
        max: the largest.

    Raises:
        ArgumentError: `tensor` is no tensor.
        IndexRangeError: no such dimension.
        ValueRangeError: min and max leave no size of at least 2.
    """
    low = 2 if min is None or min < 2 else min
    if max is not None and max < low:
        raise ValueRangeError(f"mark_dynamic(): max={max} is below {low}, the least symbolic size")
    _mark("mark_dynamic", tensor, dim, SizeMark(True, min, max))


def mark_static(tensor: Any, dim: int | tuple[int, ...] | None = None) -> None:
    """Say that a size of `tensor` is never to become symbolic, however often it varies; None: all its sizes.

    Raises:
        ArgumentError: `tensor` is no tensor.
        IndexRangeError: no such dimension.
    """
    everywhere = tuple(range(tensor.ndim)) if dim is None and eager.is_tensor(tensor) else dim
    _mark("mark_static", tensor, () if everywhere is None else everywhere, SizeMark(False))


def _mark(function: str, tensor: Any, dim: int | tuple[int, ...], mark: SizeMark) -> None:
    if not eager.is_tensor(tensor):
        raise ArgumentError(f"{function}() takes a Tensor, got {type(tensor).__name__}")
    key = id(tensor)
    entry = _MARKS.get(key)
    if entry is None or entry[0]() is not tensor:
        entry = _MARKS[key] = (weakref.ref(tensor, lambda _: _MARKS.pop(key, None)), {})
    for d in dim if isinstance(dim, list | tuple) else (dim,):
        entry[1][normalize_dim(function, "dim", d, tensor.ndim)] = mark
