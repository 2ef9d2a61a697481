"""Instances of classes derived from builtin containers, numbers and text, made in the trace and given to it."""

from __future__ import annotations

import collections
import math
import operator

from captured import ramp

from programs import program


class Group(set):
    pass


class Recent(collections.deque):
    def newest(self):
        return self[-1]


class Items(list):
    def total(self):
        return sum(self)


class Triple(tuple):
    pass


class Label(str):
    def shout(self):
        return self.upper() + "!"


class Count(int):
    def __add__(self, other):
        return Count(int(self) + other + 100)


class Rate(float):
    pass


class Doubling(dict):
    def __missing__(self, key):
        return key * 2


@program(lambda: (ramp(), Group([1, 2])), lambda: (ramp(), Group([3])))
def a_set(x, group):
    group.add(5)
    group |= {7}
    return x * len(group), 1 in group, sorted(group), group, group & {5}, Group([x.ndim])


@program(lambda: (ramp(), Recent([1, ramp()], 3)))
def a_deque(x, recent):
    recent.append(x)
    recent.append(2)
    return recent[0], len(recent), recent.maxlen, list(recent)[1], recent.popleft(), recent.newest(), Recent([x], 2)


@program(lambda: (ramp(), Items([1, 2]), Triple([1, ramp()])))
def sequences(x, items, triple):
    items.append(3)
    return x * items.total() + triple[1], items, triple, len(triple), triple[:1]


@program(lambda: (ramp(), Label("ab")), lambda: (ramp(), Label("c")))
def text(x, s):
    return (
        (x * len(s), s.shout(), s + "c", s == "ab", s.split("b"), f"{s}-{s!r}-{s:>4}", s[0], str(s), repr(s)),
        ({"ab": 1}.get(s), "%s" % s, "{}".format(s), "-".join([s, s]), type(str(s)) is str, s),
    )


@program(lambda: (ramp(), Count(3), Rate(1.5)), lambda: (ramp(), Count(2), Rate(0.5)))
def numbers(x, n, r):
    return (
        (x * n, n + 1, n * 2, int(n), n == 3, n > 2, [1, 2, 3, 4][n], list(range(n)), n.bit_length(), f"{n}|{n:03d}"),
        (x * r, r + 1, float(r), r.is_integer(), f"{r:.2f}", str(r), math.floor(r), n.real, operator.index(n)),
    )


@program(lambda: (ramp(), Doubling(a=1)))
def a_dict(x, d):
    d["q"] = x
    return x * d["a"], d["zz"], list(d), d.get("n", 3), "zz" in d


class Sized:
    def __init__(self):
        self.asked = []

    def __len__(self):
        self.asked.append("len")
        return 3

    def __iter__(self):
        return iter((3, 1, 2))


@program()
def lengths_asked_for(x):
    s = Sized()
    return x, sorted(s), list(s), [*s], operator.length_hint(s), operator.length_hint(iter([1])), s.asked
