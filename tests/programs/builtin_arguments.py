"""Builtins that are given what they do not take, caught in the trace; and what they do with what they are given."""

from __future__ import annotations

import bisect
import collections
import functools
import heapq
import itertools
import operator
import types

from captured import ramp

from programs import program
from programs.called_by_c import message


@program()
def numbers_of_arguments(x):
    calls = (
        lambda: len(),
        lambda: len([1], [2]),
        lambda: len([1], x=2),
        lambda: iter(),
        lambda: next(),
        lambda: next(iter([]), 1, 2),
        lambda: isinstance(1),
        lambda: getattr(1),
        lambda: hasattr(1),
        lambda: setattr(1, "a"),
        lambda: callable(1, 2),
        lambda: bool(1, 2),
        lambda: repr(),
        lambda: hash(),
        lambda: reversed([1], 2),
        lambda: dict(1, 2),
        lambda: set([1], [2]),
        lambda: operator.add(1),
        lambda: functools.reduce(max),
        lambda: functools.partial(len)(1, 2),
        lambda: vars(1),
    )
    return x, [message(f) for f in calls]


@program()
def names_of_arguments(x):
    calls = (
        lambda: min(1, 2, foo=1),
        lambda: min(1, 2, default=1),
        lambda: max([], key=len),
        lambda: sum([1], start="a"),
        lambda: sum([], b"a"),
        lambda: sorted([1], foo=1),
        lambda: sorted([1], 1),
        lambda: [].sort(1),
        lambda: [].sort(foo=1),
        lambda: itertools.tee([1], -1),
        lambda: types.SimpleNamespace(a=1).b,
        lambda: bisect.bisect([1, 2], 2, 0, -1),
    )
    return x, [message(f) for f in calls], itertools.tee(5, 0)


@program(breaks=("native-call",))
def heaps_that_are_no_lists(x):
    return x, message(lambda: heapq.heappush(1, 2)), message(lambda: heapq.heapify((1, 2)))


@program()
def causes_that_are_no_exceptions(x):
    def failing():
        raise ValueError("v") from 1

    try:
        functools.reduce(max, [])
    except TypeError as error:
        contexts = error.__context__, error.__suppress_context__
    return x, message(failing), contexts


@program(breaks=None)
def sums_of_floats(x):
    """From Python 3.12 on they are rounded once, however the floats arrive."""
    tenths = [0.1] * 10
    sums = sum(v for v in tenths), sum(tenths, start=0.0), sum(collections.deque(tenths)), sum(iter([1, True, *tenths]))
    return x, sums, sum((v for v in tenths), 5), sum([[1], [2]], []), sum(v for v in (0.1, 0.2, x.sum(), 0.3))


@program(*[lambda n=n: (ramp(), n, n + 0.1) for n in (0.1, 0.3, 0.7, 1.7, 1e20)], breaks=None)
def sums_of_floats_that_vary(x, a, b):
    return x * sum([a, b, a, b, a]), sum([a, b, a, b, a, b, a]), sum(v for v in [a, b, a, b, a, 1, a]), sum([a, b], 1.5)


class Told:
    def __init__(self, name, answer, log):
        self.name = name
        self.answer = answer
        self.log = log

    def __eq__(self, other):
        self.log.append(self.name)
        return self.answer

    __hash__ = object.__hash__


@program()
def iterators_over_calls(x):
    """They end with the call's StopIteration, and the sentinel is the one that is asked."""
    log: list[str] = []
    numbers, told, nan = iter([1, 2, 3]), iter([Told("item", True, log)]), float("nan")
    found = list(iter(lambda: next(numbers), None)), len(list(iter(lambda: next(told), Told("sentinel", False, log))))
    return x, found, list(iter(lambda: nan, nan)), log


class Backwards:
    def __init__(self, log):
        self.log = log

    def __len__(self):
        self.log.append("len")
        return 3

    def __getitem__(self, index):
        if index == 0:
            raise IndexError
        return index


@program()
def items_backwards(x):
    log: list[str] = []
    items = reversed(Backwards(log))
    log.append("made")
    return x, [v for v in items], log


def stopping():
    yield 1
    raise StopIteration(2)


def answering():
    try:
        yield 1
    except ValueError as error:
        yield repr(error)


@program()
def generators_that_stop(x):
    try:
        list(stopping())
    except RuntimeError as error:
        caught = error
    ended = answering()
    next(ended)
    kind = message(lambda: ended.send(None))
    context = caught.__context__
    return x, type(context), context is caught.__cause__, context.value, kind


@program(breaks=None)
def classes_thrown_with_arguments(x):
    import warnings

    items = answering()
    next(items)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        thrown = items.throw(ValueError, "text")
    return x, thrown
