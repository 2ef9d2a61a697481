"""Descriptors, inheritance, metaclasses, and classes derived from builtin ones."""

from __future__ import annotations

import functools
from typing import Any

from captured import ramp

from programs import program


class Typed:
    """A data descriptor that validates."""

    def __init__(self, kind):
        self.kind = kind

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner):
        if instance is None:
            return self
        return instance.__dict__.get(self.name, None)

    def __set__(self, instance, value):
        if not isinstance(value, self.kind):
            raise TypeError(f"{self.name} must be {self.kind.__name__}")
        instance.__dict__[self.name] = value

    def __delete__(self, instance):
        del instance.__dict__[self.name]


class Lazy:
    """A non-data descriptor that stores its value in the instance."""

    def __init__(self, function):
        self.function = function
        self.name = function.__name__

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        value = instance.__dict__[self.name] = self.function(instance)
        return value


class Described:
    count = Typed(int)

    def __init__(self, count):
        self.count = count

    @Lazy
    def doubled(self):
        return self.count * 2

    @functools.cached_property
    def tripled(self):
        return self.count * 3

    @staticmethod
    def static(v):
        return v + 1

    @classmethod
    def make(cls, v):
        return cls(v)


@program()
def data_descriptor(x):
    d = Described(2)
    d.count = 3
    try:
        d.count = "a"
    except TypeError as e:
        text = str(e)
    del d.count
    return x, d.count, text, isinstance(Described.count, Typed)


@program()
def lazy_descriptors(x):
    d = Described(2)
    before = dict(d.__dict__)
    return x * d.doubled, d.doubled, d.tripled, d.tripled, before, sorted(d.__dict__)


@program(lambda: (ramp(), Described(4)))
def descriptors_of_argument(x, d):
    d.count = d.count + 1
    return x * d.doubled + d.tripled


@program()
def static_and_class_methods(x):
    return Described.static(x), Described.make(3).count, Described(1).make(2).count, Described(1).static(4)


class Counted:
    total = 0
    registry: list[str] = []

    def __init_subclass__(cls, tag="none", **kwargs):
        super().__init_subclass__(**kwargs)
        cls.tag = tag

    def __new__(cls, *args):
        self = super().__new__(cls)
        self.made = True
        return self

    def __init__(self, value):
        self.value = value


class Tagged(Counted, tag="tagged"):
    def __init__(self, value):
        super().__init__(value * 2)


@program()
def new_and_init(x):
    t = Tagged(x)
    return t.value, t.made, Tagged.tag, type(t).__name__, Counted.total


class A:
    def who(self):
        return ["A"]


class B(A):
    def who(self):
        return ["B", *super().who()]


class C(A):
    def who(self):
        return ["C", *super().who()]


class D(B, C):
    def who(self):
        return ["D", *super(D, self).who()]

    @classmethod
    def name_of(cls):
        return cls.__name__, [c.__name__ for c in cls.__mro__]


@program()
def diamond(x):
    return x, D().who(), D.name_of(), D.__bases__[0].__name__


class Singleton(type):
    instances: dict[type, Any] = {}

    def __call__(cls, *args, **kwargs):
        if cls not in cls.instances:
            cls.instances[cls] = super().__call__(*args, **kwargs)
        return cls.instances[cls]


class Registry(metaclass=Singleton):
    def __init__(self):
        self.entries = [1]


@program()
def singleton(x):
    return x * len(Registry().entries), Registry() is Registry()


class WithGetattribute:
    def __init__(self):
        self.real = 3

    def __getattribute__(self, name):
        if name == "magic":
            return 42
        return super().__getattribute__(name)


@program()
def custom_getattribute(x):
    w = WithGetattribute()
    return x * w.real, w.magic


class WithDelattr:
    def __init__(self):
        self.log = []
        self.a = 1

    def __delattr__(self, name):
        self.log.append(name)
        super().__delattr__(name)


@program()
def custom_delattr(x):
    w = WithDelattr()
    del w.a
    return x, w.log, hasattr(w, "a")


@functools.total_ordering
class Ranked:
    def __init__(self, rank):
        self.rank = rank

    def __eq__(self, other):
        return self.rank == other.rank

    def __lt__(self, other):
        return self.rank < other.rank


@program()
def total_ordering(x):
    return x, Ranked(1) >= Ranked(0), Ranked(1) <= Ranked(1), Ranked(2) > Ranked(3), max(Ranked(1), Ranked(5)).rank


class Meters(float):
    @property
    def feet(self):
        return self * 3.28


class Name(str):
    def shout(self):
        return self.upper() + "!"


class Count(int):
    def __add__(self, other):
        return Count(int(self) + int(other) + 100)


@program()
def number_subclasses(x):
    return (
        x * Meters(2.0).real,
        Meters(2.0).feet,
        Name("a").shout(),
        Count(1) + 2,
        isinstance(Count(1), int),
        Name("b") == "b",
    )


class Stack(list):
    def push(self, v):
        self.append(v)
        return self

    @property
    def top(self):
        return self[-1]


class AttrDict(dict):
    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name, value):
        self[name] = value


class Bag(set):
    def double(self):
        return {v * 2 for v in self}


@program()
def list_subclass(x):
    s = Stack([1]).push(x).push(3)
    s[0] = 9
    s.extend([4])
    return s, s.top, len(s), s[1:3], s + [5], [v for v in s][0], 9 in s


@program()
def dict_subclass(x):
    d = AttrDict(a=x)
    d.b = 2
    d["c"] = d.a * d.b
    return d, d.c, hasattr(d, "zz"), sorted(d), {**d}["b"], list(d.items())[1]


@program()
def set_subclass(x):
    b = Bag([1, 2])
    b.add(3)
    return x, b.double(), 3 in b, len(b)


@program(lambda: (ramp(), Stack([1, 2])), lambda: (ramp(), Stack([ramp(), 2])))
def list_subclass_argument(x, s):
    s.push(x)
    s[0] = s[0] * 2
    return s.top * s[1], len(s)


@program(lambda: (ramp(), AttrDict(a=3, b=ramp())), lambda: (ramp(), AttrDict(a=4, b=ramp())))
def dict_subclass_argument(x, d):
    d.c = x * d.a
    del d["b"]
    return d.c, list(d), {**d}, len(d), "b" in d
