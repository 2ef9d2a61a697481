"""Classes whose metaclasses compute attributes and define operators; enums that look up missing members."""

import enum
from typing import Any, Protocol, runtime_checkable

from programs import program


class Table(type):
    entries = {"a": 2.0, "b": 3.0}

    @property
    def size(cls):
        return len(cls.entries)

    def __getattr__(cls, name):
        if name.startswith("n_"):
            return len(name)
        raise AttributeError(name)

    def __getitem__(cls, key):
        return cls.entries[key]

    def __contains__(cls, key):
        return key in cls.entries

    def __len__(cls):
        return 2

    def __iter__(cls):
        return iter(cls.entries)

    def __reversed__(cls):
        return iter([1, 2])

    def __bool__(cls):
        return False

    def __add__(cls, other):
        return 5 if isinstance(other, int) else NotImplemented

    def __eq__(cls, other):
        return other == 7

    __hash__ = type.__hash__


class Entries(metaclass=Table):
    pass


class Looked(type):
    def __getattribute__(cls, name):
        return 9 if name == "looked" else super().__getattribute__(name)

    def __lt__(cls, other):
        return True


class Scales(metaclass=Looked):
    scale = 4

    def __class_getitem__(cls, item):
        return item * 2


@program()
def operators_of_metaclasses(x):
    asked = [Entries["a"], "b" in Entries, len(Entries), list(Entries), list(reversed(Entries)), bool(Entries)]
    asked += [Entries + 1, Entries == 7, Entries != 7, Entries == Scales, 1 if Entries else 2, Scales < Entries]
    try:
        Entries - 1
    except TypeError as e:
        asked.append(str(e))
    return x * Entries["b"], asked, Scales[3]


@program()
def attributes_of_metaclasses(x):
    return x * Entries.size, Entries.n_x, hasattr(Entries, "other"), Scales.looked, Scales.scale, Scales.__name__


class AnsweringAll(type):
    def __getattr__(cls, name):
        if name == "__copy__":  # `copy` would call it
            raise AttributeError(name)
        return f"{name}?"


class Talkative(metaclass=AnsweringAll):
    scale = 3.0


TALKATIVE = Talkative()


@program()
def instance_of_a_class_that_has_every_attribute(x):
    return x * TALKATIVE.scale, Talkative.anything, x * Talkative().scale


class Word(str, enum.Enum):
    @classmethod
    def _missing_(cls, value):
        if value == "wrong":
            raise KeyError(value)
        return cls.__members__.get(value.upper())


class Switch(Word):
    ON = "1"
    OFF = "0"


@program()
def missing_members(x):
    found: list[Any] = [Switch("on"), Switch("0"), Switch(Switch.OFF)]
    for word in ("neither", "wrong"):
        try:
            Switch(word)
        except (KeyError, ValueError) as e:
            found.append(repr(e))
    return x * len(found), found


@runtime_checkable
class Named(Protocol):
    name: str

    def rename(self, name): ...


class Computes:
    def __getattr__(self, name):
        if name in ("name", "rename"):
            return str.upper
        raise AttributeError(name)


class Stores:
    def __init__(self):
        self.name = "s"

    def rename(self, name):
        self.name = name

    def __getattr__(self, name):
        raise AttributeError(name)


@program()
def protocols_and_computed_attributes(x):
    return x + 1, isinstance(Stores(), Named), isinstance(Computes(), Named), isinstance(3, Named)
