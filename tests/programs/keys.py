"""Dicts and sets whose keys are objects of the program, and read-only views of dicts."""

from __future__ import annotations

import types

from captured import ramp

from programs import program


class Key:
    def __init__(self, n):
        self.n = n

    def __hash__(self):
        return hash(self.n)

    def __eq__(self, other):
        return isinstance(other, Key) and self.n == other.n


FIRST, SECOND = Key(1), Key(2)
TABLE = {FIRST: 2, SECOND: 3}
KNOWN = {FIRST, SECOND}


@program()
def keys_with_their_own_hash(x):
    return x * TABLE[FIRST], TABLE.get(Key(2)), len(TABLE), FIRST in KNOWN, Key(9) in KNOWN, list(TABLE.values())


@program(lambda: (ramp(), {Key(1): 5, Key(2): ramp()}), lambda: (ramp(), {Key(2): 5, Key(1): ramp()}))
def a_key_added(x, d):
    d[Key(3)] = x
    d[Key(1)] = d[Key(1)] * 2
    return [k.n for k in d], len(d), list(d.values())


class Plain:
    pass


PLAIN, OTHER = Plain(), Plain()


@program(lambda: (ramp(), {PLAIN: 5, ramp: 2, (OTHER, 1): 3}))
def keys_told_apart_by_identity(x, d):
    d[PLAIN] = d[PLAIN] + 1
    return x * d[PLAIN], PLAIN in d, OTHER in d, d[ramp], d[OTHER, 1], d.get(Plain()), d.pop(ramp)


@program(lambda: (ramp(), {PLAIN: ramp(), OTHER: ramp()}))
def values_by_objects(x, d):
    for key, value in d.items():
        key.seen = value + x
    return [k.seen for k in d]


@program(lambda: (ramp(), {PLAIN, FIRST}))
def a_set_of_objects(x, s):
    s.add(OTHER)
    s.discard(FIRST)
    return x * len(s), PLAIN in s, FIRST in s, SECOND in s


VIEW = types.MappingProxyType({"scale": 3, "sizes": [1, 2]})


@program()
def view_of_a_global_dict(x):
    return x * VIEW["scale"], VIEW.get("q"), list(VIEW.items()), len(VIEW), "sizes" in VIEW, {**VIEW}, VIEW | {"a": 1}


@program(lambda: (ramp(), types.MappingProxyType({"s": 2, "t": ramp()})))
def view_as_an_argument(x, m):
    return x * m["s"] + m["t"], dict(m)["s"], m


@program()
def view_made_in_the_trace(x):
    d = {"a": 1}
    m = types.MappingProxyType(d)
    d["b"] = x
    return m["a"], m["b"], len(m), "a" in m, list(m), m.get("z", 3), dict(m), m


def scaled(x, options=VIEW):
    return x * options["scale"]


@program()
def view_as_a_default(x):
    try:
        VIEW["new"] = 1
    except TypeError as e:
        return scaled(x), str(e)
