"""Builtins that call back into Python, written in Python so that they can be inlined."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

_NOTHING = object()


def sum_(iterable: Iterable[Any], /, start: Any = 0) -> Any:
    """The sum by `+`, special methods included."""
    for item in iterable:
        start = start + item
    return start


def any_(iterable: Iterable[Any], /) -> bool:
    """Whether some item is true."""
    for item in iterable:  # noqa: SIM110 - this is what any() means
        if item:
            return True
    return False


def all_(iterable: Iterable[Any], /) -> bool:
    """Whether every item is true."""
    for item in iterable:  # noqa: SIM110 - this is what all() means
        if not item:
            return False
    return True


def min_(*items: Any, key: Callable[[Any], Any] | None = None, default: Any = _NOTHING) -> Any:
    """The least item by `<`."""
    best = best_key = _NOTHING
    for item in items[0] if len(items) == 1 else items:
        item_key = item if key is None else key(item)
        if best_key is _NOTHING or item_key < best_key:
            best, best_key = item, item_key
    if best is not _NOTHING:
        return best
    if default is _NOTHING:
        raise ValueError("min() iterable argument is empty")
    return default


def max_(*items: Any, key: Callable[[Any], Any] | None = None, default: Any = _NOTHING) -> Any:
    """The greatest item by `>`."""
    best = best_key = _NOTHING
    for item in items[0] if len(items) == 1 else items:
        item_key = item if key is None else key(item)
        if best_key is _NOTHING or item_key > best_key:
            best, best_key = item, item_key
    if best is not _NOTHING:
        return best
    if default is _NOTHING:
        raise ValueError("max() iterable argument is empty")
    return default


def reduce_(function: Callable[[Any, Any], Any], iterable: Iterable[Any], initial: Any = _NOTHING, /) -> Any:
    """`functools.reduce`."""
    iterator = iter(iterable)
    if initial is _NOTHING:
        try:
            initial = next(iterator)
        except StopIteration:
            raise TypeError("reduce() of empty iterable with no initial value") from None
    for item in iterator:
        initial = function(initial, item)
    return initial
