"""Keys that compare themselves in Python, and objects whose numbers and texts C code asks for: each is asked as often,
and in the order, that it is in eager code.
"""

from __future__ import annotations

import bisect
import itertools
import math
import re
import types

from captured import ramp

from programs import program
from programs.called_by_c import Logged, message


class Key:
    """Equal to its number, and notes that it was asked."""

    def __init__(self, number, log):
        self.number = number
        self.log = log

    def __hash__(self):
        return hash(self.number)

    def __eq__(self, other):
        self.log.append(self.number)
        return self.number == (other.number if isinstance(other, Key) else other)


def key_and_log():
    log: list[int] = []
    return ramp(), Key(1, log), log


@program(key_and_log, breaks=("unsupported-value",))
def numbers_looked_for_among_keys(x, key, log):
    table = {key: 5}
    found = 1 in table, table.get(True), table[1.0], 1 in {key}, (1, 1) in {(key, 1): 3}, dict.__contains__(table, 1)
    table[1] = 6
    return x, found, list(table.values()), table.pop(1), log


@program(key_and_log, breaks=("unsupported-value",))
def keys_met_by_operators(x, key, log):
    first, second = {key}, {1}
    sizes = [len(s) for s in (first | second, first & second, first - second, first ^ second, first.union([1]))]
    table, other = {key: 5}, {1: 6}
    sizes += [len({**table, **other}), len(table | other), len({key: 5, 1: 6}), len({key, 1}), len(table.keys() & {1})]
    return x, sizes, first.isdisjoint([1]), first.issubset([1, 2]), table.keys() == {1}, table.items() == {(1, 5)}, log


@program(key_and_log, breaks=("unsupported-value",))
def objects_in_views_and_ranges(x, key, log):
    found = key in range(3), 1 in {2: key}.values(), (1, 1) in {key: 1}.items(), 1 in {key: 1}.keys()
    views = types.MappingProxyType({key: 1})
    return x, found, 1 in views, views.get(1), tuple.__contains__((key,), 1), list.__contains__([key], 1), log


@program(key_and_log, breaks=("unsupported-value", "native-call"))
def objects_compared_by_holders(x, key, log):
    same = types.SimpleNamespace(q=key) == types.SimpleNamespace(q=1), slice(key) == slice(1)
    return x, same, range(3).index(key), range(3).count(key), log


class Pure:
    """A key that changes nothing when it is asked."""

    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return 1

    def __eq__(self, other):
        return LIMIT[0] > 1 and other == self.number


LIMIT = [2]


@program()
def comparisons_with_constants(x):
    table = {Pure(1): 2.0}
    return x * table.get(1, 3.0), 1 in {Pure(1)}, {1} in {frozenset({1})}, {2} in {1}


def counted():
    log: list[str] = []
    return ramp(), Logged(1, log), Logged(2, log), log


@program(counted, breaks=("native-call",))
def numbers_by_place(x, a, b, log):
    found = complex(1, b), round(2.5678, b), int("11", b), bisect.bisect([1, 2, 3], 2, a), (5).to_bytes(b, "big")
    counts = list(itertools.islice(itertools.count(1, 2), 2)), message(lambda: list(itertools.permutations("abc", a)))
    return x, found, counts, slice(a, b).indices(b), re.compile("a").search("banana", b).span(), log


@program(lambda: (ramp(), [1.5, 2.0]), breaks=None)
def sums_by_c(x, numbers):
    return x, math.fsum(iter(numbers)), math.dist(numbers, numbers), math.prod(numbers)


class Checks:
    def __instancecheck__(self, value):
        return value == 1


@program()
def instances_that_check(x):
    return x, isinstance(1, Checks()), isinstance(2, Checks())


@program(breaks=("side-effect",))
def methods_of_numbers(x):
    """A bound method of a number outlives the break that calls it."""
    add = (5).__add__
    breaks(x)
    return x, add(1)


def breaks(x):
    print("break")
