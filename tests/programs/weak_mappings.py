"""WeakKeyDictionary and WeakSet that captured code makes, and entries it makes in them."""

from __future__ import annotations

import weakref

from programs import program


class Key:
    """Something that can be referred to weakly."""

    def __init__(self, value=None):
        self.value = value


class Equal:
    """Keys that are equal to each other."""

    def __eq__(self, other):
        return type(other) is Equal

    def __hash__(self):
        return 1


KEY = Key()


@program()
def dict_made(x):
    key, other, table = Key(), Key(), weakref.WeakKeyDictionary()
    is_empty = not table
    table[key] = x + 1
    table[KEY] = x * 2
    table[key] = table[key] * 3
    try:
        table[other]
    except KeyError:
        x = x - 1
    found = table.get(other), table.get(other, default=2), key in table, other in table
    return is_empty, found, table[key] + table[KEY] + x


@program()
def set_made(x):
    key, other, members = Key(x + 1), Key(), weakref.WeakSet()
    members.add(key)
    members.add(key)
    return key in members, other in members, len(members), key.value * 2


@program(breaks=("side-effect", "native-call"))
def carried_over_a_break(x):
    key, table = Key(), weakref.WeakKeyDictionary()
    table[key] = x + 1
    print("made")
    table[key] = table[key] * 2
    return table[key], len(table)


@program(breaks=("native-call",))
def key_that_died(x):
    table, key = weakref.WeakKeyDictionary(), Key()
    table[Key()] = x + 1
    table[key] = 2
    del key
    return x * 2, len(table)


@program(breaks=("native-call",))
def keys_that_are_equal(x):
    first, second, table = Equal(), Equal(), weakref.WeakKeyDictionary()
    table[first] = 1
    table[second] = 2
    return x * table[first], len(table)


@program(breaks=None)
def contents_one_by_one(x):
    key, table, members = Key(x), weakref.WeakKeyDictionary(), weakref.WeakSet()
    table[key] = 3
    members.add(key)
    found = [k.value + v for k, v in table.items()], [m.value for m in members], len(table.data)
    members.discard(key)
    return found, len(members), list(members)
