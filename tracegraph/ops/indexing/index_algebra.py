"""Algebra of basic indices: one index after another as one, indices that select everything, or nothing in common.

Entries are canonical as `basic_index` keeps them: an int, a triple (start, stop, step), or None for a new dimension.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from tracegraph.ir import dim as dims
from tracegraph.ir.bounds import at_most
from tracegraph.ir.dim import Dim, SymExpr

Entry: TypeAlias = Any
Entries: TypeAlias = tuple[Entry, ...]


def compose_entries(shape: tuple[Dim, ...], first: Entries, second: Entries) -> Entries | None:
    """The index that selects `x[first][second]` from x of `shape`; None where that takes knowing symbolic sizes."""
    remaining = list(reversed(_filled(shape, first)))
    result: list[Entry] = []

    def skip_ints() -> None:
        while remaining and remaining[-1] is not None and not isinstance(remaining[-1], tuple):
            result.append(remaining.pop())

    for entry in second:
        if entry is None:
            result.append(None)
            continue
        skip_ints()
        outer = remaining.pop()
        composed = _compose_entry(outer, entry)
        if composed is _UNKNOWN:
            return None
        if outer is not None or composed is None:
            result.append(composed)
    result.extend(reversed(remaining))
    return _trimmed(shape, result)


_UNKNOWN = object()


def _compose_entry(outer: Entry, inner: Entry) -> Entry:
    """An entry for a dimension that `outer` left, by what made it; for a new dimension None, or an int to drop it."""
    if outer is None:
        if not isinstance(inner, tuple):
            return inner
        return None if all(map(dims.same, inner[:2], (0, 1))) else _UNKNOWN
    start, _, step = outer
    if not isinstance(inner, tuple):
        return start + inner * step
    low, high, stride = inner
    if dims.same(step, 1) and dims.same(stride, 1):
        return start + low, start + high, 1
    if any(isinstance(d, SymExpr) for d in (*outer, *inner)):
        return _UNKNOWN
    count = (high - low + stride - 1) // stride
    begin = start + low * step
    return begin, begin + max((count - 1) * step * stride + 1, 0), step * stride


def _filled(shape: tuple[Dim, ...], entries: Entries) -> list[Entry]:
    """With the whole dimensions at the end spelled out."""
    named = sum(e is not None for e in entries)
    return [*entries, *((0, n, 1) for n in shape[named:])]


def _trimmed(shape: tuple[Dim, ...], entries: list[Entry]) -> Entries:
    """Without the whole dimensions at the end."""
    axis = len(shape)
    while axis and isinstance(entries[-1], tuple) and all(map(dims.same, entries[-1], (0, shape[axis - 1], 1))):
        entries.pop()
        axis -= 1
    return tuple(entries)


def covers_all(shape: tuple[Dim, ...], entries: Entries) -> bool:
    """Whether every element is selected."""
    named = (e for e in entries if e is not None)
    return all(
        all(map(dims.same, e, (0, n, 1))) if isinstance(e, tuple) else dims.same(n, 1)
        for e, n in zip(named, shape, strict=False)
    )


def are_disjoint(first: Entries, second: Entries) -> bool:
    """Whether two indices provably select no common element; sizes may be symbolic."""
    pairs = zip((e for e in first if e is not None), (e for e in second if e is not None), strict=False)
    return any(_apart(*_span(a), *_span(b)) for a, b in pairs)


def _span(entry: Entry) -> tuple[Dim, Dim]:
    return (entry[0], entry[1]) if isinstance(entry, tuple) else (entry, entry + 1)


def _apart(low: Dim, high: Dim, other_low: Dim, other_high: Dim) -> bool:
    return at_most(high, other_low) or at_most(other_high, low)
