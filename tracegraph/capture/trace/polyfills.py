"""Builtins that call back into Python, written in Python so that they can be inlined."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_NOTHING = object()


def sum_(iterable: Iterable[Any], /, start: Any = 0) -> Any:
    """The sum by `+`, special methods included.

    Numbers at the beginning are added by the builtin, which from Python 3.12 on rounds their sum only once.
    """
    if type(start) in (str, bytes, bytearray):
        return sum((), start)  # which raises
    if type(start) not in (int, float, bool):
        for item in iterable:
            start = start + item
        return start
    numbers: list[Any] | None = []
    for item in iterable:
        if numbers is not None:
            if type(item) in (int, float, bool):
                numbers.append(item)
                continue
            start, numbers = sum(numbers, start), None
        start = start + item
    return sum(numbers, start) if numbers else start


def prod_(iterable: Iterable[Any], /, *, start: Any = 1) -> Any:
    """`math.prod`."""
    for item in iterable:
        start = start * item
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


def lesser(best: Any, item: Any) -> Any:
    """A step of `min`."""
    return item if item < best else best


def greater(best: Any, item: Any) -> Any:
    """A step of `max`."""
    return item if item > best else best


def min_(*items: Any, key: Callable[[Any], Any] | None = None, default: Any = _NOTHING) -> Any:
    """The least item by `<`."""
    best = best_key = _NOTHING
    for item in items[0] if len(items) == 1 else items:
        if key is None:
            best = item if best is _NOTHING else lesser(best, item)
            continue
        item_key = key(item)
        if best_key is _NOTHING or item_key < best_key:
            best, best_key = item, item_key
    if best is not _NOTHING:
        return best
    if default is _NOTHING:
        return min(())  # which raises
    return default


def max_(*items: Any, key: Callable[[Any], Any] | None = None, default: Any = _NOTHING) -> Any:
    """The greatest item by `>`."""
    best = best_key = _NOTHING
    for item in items[0] if len(items) == 1 else items:
        if key is None:
            best = item if best is _NOTHING else greater(best, item)
            continue
        item_key = key(item)
        if best_key is _NOTHING or item_key > best_key:
            best, best_key = item, item_key
    if best is not _NOTHING:
        return best
    if default is _NOTHING:
        return max(())  # which raises
    return default


def reduce_(function: Callable[[Any, Any], Any], iterable: Iterable[Any], initial: Any = _NOTHING, /) -> Any:
    """`functools.reduce`."""
    iterator = iter(iterable)
    if initial is _NOTHING:
        initial = next(iterator, _NOTHING)
        if initial is _NOTHING:
            raise TypeError("reduce() of empty iterable with no initial value")
    for item in iterator:
        initial = function(initial, item)
    return initial


def iterate_by_index(sequence: Any) -> Iterator[Any]:
    """The iterator of an object that has `__getitem__` and no `__iter__`."""
    position = 0
    while True:
        try:
            item = sequence[position]
        except (IndexError, StopIteration):
            return
        yield item
        position += 1


def iterate_until(function: Callable[[], Any], sentinel: Any) -> Iterator[Any]:
    """`iter(function, sentinel)`."""
    while True:
        try:
            item = function()
        except StopIteration:
            return
        if sentinel is item or sentinel == item:
            return
        yield item


def reversed_(sequence: Any) -> Iterator[Any]:
    """`reversed` of an object with `__len__` and `__getitem__`."""
    return _downwards(sequence, len(sequence))


def _downwards(sequence: Any, length: int) -> Iterator[Any]:
    for position in range(length - 1, -1, -1):
        try:
            item = sequence[position]
        except (IndexError, StopIteration):
            return
        yield item


def chain_from_iterable(iterables: Iterable[Iterable[Any]], /) -> Iterator[Any]:
    """`itertools.chain.from_iterable`."""
    for iterable in iterables:
        yield from iterable


def tee_(iterable: Iterable[Any], n: int = 2, /) -> tuple[Iterator[Any], ...]:
    """`itertools.tee`."""
    if n < 0:
        raise ValueError("n must be >= 0")
    if not n:
        return ()
    iterator = iter(iterable)
    queues: list[deque[Any]] = [deque() for _ in range(n)]

    def items(queue: deque[Any]) -> Iterator[Any]:
        while True:
            if not queue:
                try:
                    item = next(iterator)
                except StopIteration:
                    return
                for other in queues:
                    other.append(item)
            yield queue.popleft()

    return tuple(items(queue) for queue in queues)


class ComparisonKey:
    """What `functools.cmp_to_key` makes keys of."""

    def __init__(self, compare: Callable[[Any, Any], int], obj: Any) -> None:
        self.compare = compare
        self.obj = obj

    def __lt__(self, other: Any) -> bool:
        return self.compare(self.obj, other.obj) < 0

    def __gt__(self, other: Any) -> bool:
        return self.compare(self.obj, other.obj) > 0

    def __eq__(self, other: Any) -> bool:
        return self.compare(self.obj, other.obj) == 0

    def __le__(self, other: Any) -> bool:
        return self.compare(self.obj, other.obj) <= 0

    def __ge__(self, other: Any) -> bool:
        return self.compare(self.obj, other.obj) >= 0

    __hash__ = None  # type: ignore[assignment]


def comparison_key(mycmp: Callable[[Any, Any], int]) -> Callable[[Any], ComparisonKey]:
    """`functools.cmp_to_key`."""

    def key(obj: Any) -> ComparisonKey:
        return ComparisonKey(mycmp, obj)

    return key


def count_elements(counts: Any, iterable: Iterable[Any]) -> None:
    """What `collections.Counter` counts with."""
    for item in iterable:
        counts[item] = counts.get(item, 0) + 1


def new_object(cls: Any, *args: Any) -> Any:
    """What copying calls to make an object without initialising it."""
    return cls.__new__(cls, *args)


def unchanged(value: Any) -> Any:
    """What copying calls to make an object that is there already."""
    return value


def mapping_items(mapping: Any) -> dict[Any, Any]:
    """What `{**mapping}` copies from an object with `keys` and `__getitem__`."""
    return {key: mapping[key] for key in mapping.keys()}  # noqa: SIM118 - the protocol asks for keys()
