"""What the user says of a tensor's sizes before it is given to a compiled function: this one varies, that one never.

The marks stand beside the tensors, held weakly: marking keeps no tensor alive and costs unmarked ones nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracegraph.capture.guards import eager
from tracegraph.errors import ArgumentError, IndexRangeError, ValueRangeError
from tracegraph.ops.core.arguments import described
from tracegraph.ops.core.canonical import normalize_dim


@dataclass(frozen=True)
class SizeMark:
    """One marked size: symbolic between `min` and `max` (None: no bound) from the first call, or never symbolic.

    Attributes:
        is_required: a program that works for one size only is an error.
    """

    is_dynamic: bool
    min: int | None = None
    max: int | None = None
    is_required: bool = False


#: by id of the tensor: a reference that ends the entry with the tensor, and the marks by dimension
_MARKS: dict[int, tuple[weakref.ref[Any], dict[int, SizeMark]]] = {}
_NONE: Mapping[int, SizeMark] = {}


def marks_of(tensor: Any) -> Mapping[int, SizeMark]:
    """The marks of a tensor by dimension."""
    entry = _MARKS.get(id(tensor)) if _MARKS else None
    return entry[1] if entry is not None and entry[0]() is tensor else _NONE


def mark_dynamic(t: Any, index: int | Sequence[int], *, min: int | None = None, max: int | None = None) -> None:
    """Say that a size of tensor `t` varies, so that it is symbolic from the first call on.

    Sizes 0 and 1 still get graphs of their own. A function that turns out to work for one size only raises
    ConstraintViolationError when it is compiled, and so does a first size outside [min, max]; later sizes outside
    are compiled anew.

    Args:
        index: the dimension, or several.
        min: the least size that the compiled code must serve.
        max: the largest.

    Raises:
        ArgumentError: `t` is no tensor; a dimension or a bound is no int.
        IndexRangeError: no such dimension.
        ValueRangeError: min and max leave no size of at least 2.
    """
    for name, bound in (("min", min), ("max", max)):
        if bound is not None and type(bound) is not int:
            raise ArgumentError(f"mark_dynamic(): {name} must be an int or None, got {described(bound)}")
    low = 2 if min is None or min < 2 else min
    if max is not None and max < low:
        raise ValueRangeError(f"mark_dynamic(): max={max} is below {low}, the least symbolic size")
    _mark("mark_dynamic", t, index, SizeMark(True, min, max, is_required=True))


def maybe_mark_dynamic(t: Any, index: int | Sequence[int]) -> None:
    """Say that a size of tensor `t` probably varies: symbolic from the first call on, unless the program fixes it.

    Args:
        index: the dimension, or several.

    Raises:
        ArgumentError: `t` is no tensor, or a dimension is no int.
        IndexRangeError: no such dimension.
    """
    _mark("maybe_mark_dynamic", t, index, SizeMark(True))


def mark_static(t: Any, index: int | Sequence[int] | None = None) -> None:
    """Say that a size of tensor `t` is never to become symbolic, however often it varies; None: all its sizes.

    Raises:
        ArgumentError: `t` is no tensor, or a dimension is no int.
        IndexRangeError: no such dimension.
    """
    everywhere = tuple(range(t.ndim)) if index is None and eager.is_tensor(t) else index
    _mark("mark_static", t, () if everywhere is None else everywhere, SizeMark(False))


def _mark(function: str, tensor: Any, index: int | Sequence[int], mark: SizeMark) -> None:
    if not eager.is_tensor(tensor):
        raise ArgumentError(f"{function}() takes a Tensor, got {described(tensor)}")
    listed = index if isinstance(index, list | tuple) else (index,)
    dims = [normalize_dim(function, "index", d, tensor.ndim) for d in listed]
    if dims and not tensor.ndim:
        raise IndexRangeError(f"{function}: index={index}, but the tensor has no dimensions")
    key = id(tensor)
    entry = _MARKS.get(key)
    if entry is None or entry[0]() is not tensor:
        entry = _MARKS[key] = (weakref.ref(tensor, lambda _: _MARKS.pop(key, None)), {})
    entry[1].update(dict.fromkeys(dims, mark))
