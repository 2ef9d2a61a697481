"""`x[key]` and `x[key] = value`, with PyTorch's rules, in terms of `basic_index`, `index` and `index_write`.

A key is first brought apart into what basic indexing can do (integers, slices, None, Ellipsis), which gives a view,
and index tensors for dimensions of that view. Where PyTorch and numpy differ, this is PyTorch: integers select before
index tensors are looked at, so `x[0, :, i]` keeps the dimension of `i` in last place. A 0-d integer tensor gathers
(the result is a copy), so that tracing need not know its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, IndexRangeError
from tracegraph.ir.dim import SymExpr
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_number, is_tensor
from tracegraph.ops.core.shapes import equal

Handle = Any


@dataclass(frozen=True)
class Parsed:
    """A key brought apart: `basic` for `basic_index`, then `tensors` for dimensions `dims` of the view it gives."""

    basic: tuple[Any, ...]
    dims: tuple[int, ...]
    tensors: tuple[Handle, ...]

    def at(self, rank: int) -> int:
        """Where the dimensions of the index tensors stand in the result, for a view of `rank` dimensions.

        In place of the indexed dimensions if those are neighbours, else first. 0-d index tensors act as integers do:
        their dimension is gone before neighbours are looked for.
        """
        several = [d for d, t in zip(self.dims, self.tensors, strict=True) if t.ndim]
        kept = [d for d in range(rank) if d not in self.dims or d in several]
        places = [kept.index(d) for d in several]
        neighbours = places == list(range(places[0], places[0] + len(places))) if places else True
        return places[0] if places and neighbours else 0


def getitem(x: Handle, key: Any) -> Handle:
    """The elements of `x` that `key` names; a view if the key is basic, else a fresh tensor.

    Raises:
        IndexRangeError: an index is out of range, there are too many, or one is of a type that does not index.
        DataDependentError: a bool mask while tracing, where the size of the result depends on it.
    """
    if type(key) is int:
        return F.basic_index(x, (key,))
    parsed = parse(x, key)
    view = F.basic_index(x, parsed.basic)
    if not parsed.tensors:
        return view
    return F.index(view, parsed.tensors, dims=parsed.dims, at=parsed.at(view.ndim))


def setitem(x: Handle, key: Any, value: Any) -> None:
    """Write `value`, a number or a tensor that broadcasts, converted to the dtype of `x`, to the elements `key` names.

    Raises:
        IndexRangeError: as `getitem`.
        ShapeError: the value does not broadcast to the elements named.
        ArgumentError: the value is neither a tensor nor a number.
    """
    value = _value(x, value)
    mask = key[0] if isinstance(key, tuple) and len(key) == 1 else key
    if is_tensor(mask) and mask.dtype.is_bool and 0 < mask.ndim <= x.ndim:
        _check_mask(mask, x, 0)
        rest = x.ndim - mask.ndim
        value = _without_leading_ones(value, rest)
        if value.ndim <= rest:  # the same for every true element: no need to know how many there are
            x.copy_(F.where(F.reshape(mask, (*mask.shape, *(1,) * rest)), value, x))
            return
    parsed = parse(x, key)
    target = F.basic_index(x, parsed.basic)
    if parsed.tensors:
        target.copy_(written(target, parsed, value, accumulate=False))
    else:
        target.copy_(_without_leading_ones(value, target.ndim))


def written(view: Handle, parsed: Parsed, value: Handle, accumulate: bool) -> Handle:
    """`view` with `value` written, or added, at the positions of the index tensors."""
    at = parsed.at(view.ndim)
    rank = view.ndim - len(parsed.dims) + max(t.ndim for t in parsed.tensors)
    value = _without_leading_ones(value, rank)
    return F.index_write(view, value, parsed.tensors, dims=parsed.dims, at=at, accumulate=accumulate)


def _value(x: Handle, value: Any) -> Handle:
    if is_tensor(value):
        return value.to(x.dtype)
    if is_number(value) or isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        return x.new_full((), value)
    raise ArgumentError(
        f"x[...] = value: the value must be a tensor or a number, got {type(value).__name__}; wrap it with "
        "tracegraph.tensor(...)"
    )


def _without_leading_ones(value: Handle, rank: int) -> Handle:
    """PyTorch lets the value have more dimensions than the elements named, if the first ones have size 1."""
    surplus = value.ndim - rank
    if surplus > 0 and all(equal(n, 1) for n in value.shape[:surplus]):
        return F.basic_index(value, (0,) * surplus)
    return value


# ------------------------------------------------------------------------------------------------ parsing


def parse(x: Handle, key: Any) -> Parsed:
    """Bring `key` apart for `x`.

    Raises:
        IndexRangeError: too many indices, a mask of another shape, or something that does not index.
    """
    entries = [_entry(x, e) for e in (key if isinstance(key, tuple) else (key,))]
    entries = _with_ellipsis_filled(entries, x.ndim)
    basic: list[Any] = []
    dims: list[int] = []
    tensors: list[Handle] = []
    axis = place = 0  # dimensions of x consumed, dimensions of the view made
    for entry in entries:
        if entry is None:
            basic.append(None)
            place += 1
        elif isinstance(entry, bool):  # a 0-d mask indexes a new dimension of size 1
            basic.append(None)
            dims.append(place)
            tensors.append(F.zeros((int(entry),), dtype=dtypes.int64))
            place += 1
        elif is_tensor(entry):
            found = _mask_positions(entry, x, axis) if entry.dtype.is_bool else (entry,)
            if entry.dtype.is_bool and not entry.ndim:
                basic.append(None)
            else:
                basic.extend(slice(None) for _ in found)
                axis += len(found)
            dims.extend(range(place, place + len(found)))
            tensors.extend(found)
            place += len(found)
        else:
            basic.append(entry)
            axis += 1
            place += isinstance(entry, slice)
    return Parsed(tuple(basic), tuple(dims), tuple(tensors))


def _entry(x: Handle, entry: Any) -> Any:
    """One entry of a key: an int, slice, None, Ellipsis, bool, or tensor of integers or bools."""
    if entry is None or entry is Ellipsis or isinstance(entry, slice | bool | SymExpr):
        return entry
    if is_tensor(entry):
        return _checked_tensor(entry)
    if isinstance(entry, np.bool_):
        return bool(entry)
    if isinstance(entry, list | tuple | range | np.ndarray):
        return _sequence(x, entry)
    if hasattr(entry, "__index__"):
        return entry.__index__()
    raise IndexRangeError(
        "only integers, slices, ellipsis (`...`), None and tensors, arrays or lists of integers or bools index a "
        f"tensor, got {entry!r} ({type(entry).__name__})"
    )


def _checked_tensor(entry: Handle) -> Handle:
    if entry.dtype is dtypes.uint8:
        raise IndexRangeError("a uint8 tensor does not index: convert it, to bool for a mask, to int64 for positions")
    if entry.dtype.is_floating:
        raise IndexRangeError(f"tensors used as indices must be integers or bools, got {entry.dtype.long_name}")
    return entry


def _sequence(x: Handle, entry: Any) -> Handle:
    """A list or array as a tensor; masks among them become positions by way of `_mask_positions`."""
    if isinstance(entry, Sequence) and any(map(is_tensor, entry)):
        return _checked_tensor(F.stack([e if is_tensor(e) else x.new_full((), e, dtype=dtypes.int64) for e in entry]))
    array = np.asarray(entry)
    if not array.size and array.dtype.kind == "f":
        array = array.astype(np.int64)
    if array.dtype.kind not in "bi":
        raise IndexRangeError(f"lists and arrays used as indices must hold integers or bools, got {entry!r}")
    dtype = dtypes.bool_ if array.dtype.kind == "b" else dtypes.int64
    return x.new_tensor(array, dtype=dtype)


def _with_ellipsis_filled(entries: list[Any], rank: int) -> list[Any]:
    consumed = sum(_consumes(e) for e in entries)
    if consumed > rank:
        raise IndexRangeError(f"too many indices: {consumed} for a tensor of {rank} dimensions")
    dots = [i for i, e in enumerate(entries) if e is Ellipsis]
    if not dots:
        return entries
    if len(dots) > 1:
        raise IndexRangeError("an index can only have a single ellipsis ('...')")
    whole = [slice(None)] * (rank - consumed)
    return [*entries[: dots[0]], *whole, *entries[dots[0] + 1 :]]


def _consumes(entry: Any) -> int:
    """How many dimensions an entry stands for."""
    if entry is None or entry is Ellipsis or isinstance(entry, bool):
        return 0
    if is_tensor(entry) and entry.dtype.is_bool:
        return entry.ndim
    return 1


def _check_mask(mask: Handle, x: Handle, axis: int) -> None:
    for i, (n, m) in enumerate(zip(mask.shape, x.shape[axis:], strict=False)):
        if not equal(n, m):
            raise IndexRangeError(
                f"the shape {list(mask.shape)} of the mask at index {i} does not match the shape {list(x.shape)} of "
                f"the indexed tensor at index {axis + i}"
            )


def _mask_positions(mask: Handle, x: Handle, axis: int) -> tuple[Handle, ...]:
    """Where a mask over the dimensions of `x` from `axis` on is true, as index tensors."""
    if not mask.ndim:
        return (F.nonzero(F.unsqueeze(mask, 0)).squeeze(1),)
    _check_mask(mask, x, axis)
    return tuple(F.nonzero(mask).unbind(1))
