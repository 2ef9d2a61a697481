"""`heapq` and `bisect` in Python, so that they can be inlined: the lists they leave behind are those of the C code.

A heap is stored by levels; the children of position i are at 2 i + 1 and 2 i + 2. `before(a, b)` says which item comes
out first.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

Before = Callable[[Any, Any], Any]


def _less(a: Any, b: Any) -> Any:
    return a < b


def _greater(a: Any, b: Any) -> Any:
    return b < a


def _rise(heap: list[Any], top: int, position: int, before: Before) -> None:
    """Move the item at `position` up, not above `top`, until its parent comes out before it."""
    item = heap[position]
    while position > top:
        parent = (position - 1) // 2
        if not before(item, heap[parent]):
            break
        heap[position] = heap[parent]
        position = parent
    heap[position] = item


def _sink(heap: list[Any], position: int, before: Before) -> None:
    """Move the item at `position` down to a leaf along the children that come out first, and up from there."""
    top, item, end = position, heap[position], len(heap)
    child = 2 * position + 1
    while child < end:
        if child + 1 < end and not before(heap[child], heap[child + 1]):
            child += 1
        heap[position] = heap[child]
        position, child = child, 2 * child + 1
    heap[position] = item
    _rise(heap, top, position, before)


def _pop(heap: list[Any], before: Before) -> Any:
    if not heap:
        raise IndexError("index out of range")
    last = heap.pop()
    if not heap:
        return last
    first, heap[0] = heap[0], last
    _sink(heap, 0, before)
    return first


def _replace(heap: list[Any], item: Any, before: Before) -> Any:
    if not heap:
        raise IndexError("index out of range")
    first, heap[0] = heap[0], item
    _sink(heap, 0, before)
    return first


def _order(heap: list[Any], before: Before) -> None:
    for position in range(len(heap) // 2 - 1, -1, -1):
        _sink(heap, position, before)


def heappush(heap: list[Any], item: Any, /) -> None:
    """`heapq.heappush`."""
    heap.append(item)
    _rise(heap, 0, len(heap) - 1, _less)


def heappop(heap: list[Any], /) -> Any:
    """`heapq.heappop`."""
    return _pop(heap, _less)


def heapreplace(heap: list[Any], item: Any, /) -> Any:
    """`heapq.heapreplace`."""
    return _replace(heap, item, _less)


def heappushpop(heap: list[Any], item: Any, /) -> Any:
    """`heapq.heappushpop`."""
    return _replace(heap, item, _less) if heap and heap[0] < item else item


def heapify(heap: list[Any], /) -> None:
    """`heapq.heapify`."""
    _order(heap, _less)


def heappop_max(heap: list[Any], /) -> Any:
    """`heapq._heappop_max`."""
    return _pop(heap, _greater)


def heapreplace_max(heap: list[Any], item: Any, /) -> Any:
    """`heapq._heapreplace_max`."""
    return _replace(heap, item, _greater)


def heapify_max(heap: list[Any], /) -> None:
    """`heapq._heapify_max`."""
    _order(heap, _greater)


def _bounds(a: Any, lo: Any, hi: Any) -> tuple[int, int]:
    """Where to look."""
    lo = operator.index(lo)
    end = None if hi is None else operator.index(hi)
    if lo < 0:
        raise ValueError("lo must be non-negative")
    return lo, len(a) if end is None or end == -1 else end


def bisect_left(a: Any, x: Any, lo: int = 0, hi: int | None = None, *, key: Any = None) -> int:
    """`bisect.bisect_left`."""
    lo, end = _bounds(a, lo, hi)
    while lo < end:
        middle = (lo + end) // 2
        item = a[middle] if key is None else key(a[middle])
        if item < x:
            lo = middle + 1
        else:
            end = middle
    return lo


def bisect_right(a: Any, x: Any, lo: int = 0, hi: int | None = None, *, key: Any = None) -> int:
    """`bisect.bisect_right`."""
    lo, end = _bounds(a, lo, hi)
    while lo < end:
        middle = (lo + end) // 2
        if x < (a[middle] if key is None else key(a[middle])):
            end = middle
        else:
            lo = middle + 1
    return lo


def insort_left(a: Any, x: Any, lo: int = 0, hi: int | None = None, *, key: Any = None) -> None:
    """`bisect.insort_left`."""
    a.insert(bisect_left(a, x if key is None else key(x), lo, hi, key=key), x)


def insort_right(a: Any, x: Any, lo: int = 0, hi: int | None = None, *, key: Any = None) -> None:
    """`bisect.insort_right`."""
    a.insert(bisect_right(a, x if key is None else key(x), lo, hi, key=key), x)
