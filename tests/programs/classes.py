"""Classes of the user: special methods, inheritance, dataclasses, named tuples, enumerations, pattern matching."""

from __future__ import annotations

import collections
import dataclasses
import enum
import typing

from captured import ramp

from programs import program
from tracegraph.tensor import Tensor


@program()
def isinstance_(x):
    return (
        isinstance(x, Tensor),
        isinstance(3, (int, str)),
        isinstance(x, (list, dict)),
        type(x) is Tensor,
        issubclass(bool, int),
    )


@dataclasses.dataclass
class DC:
    a: object
    b: int = 3

    def total(self):
        return self.a * self.b


@program()
def dataclass(x):
    d = DC(x)
    return (d.total(), d, dataclasses.replace(d, b=7).total())


NT = collections.namedtuple("NT", "u v")


class NT2(typing.NamedTuple):
    u: object
    v: int = 2


@program()
def namedtuple(x):
    n = NT(x, 2)
    m = NT2(x)
    return (n, n.u * n.v, m.u * m.v, m._replace(v=5), n[0])


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@program()
def enum_(x):
    c = Color.RED
    d = {Color.RED: "r", Color.BLUE: "b"}
    return (x * c.value, c is Color.RED, c == Color.BLUE, Color(2).name, d[c])


class Vec:
    k = 3

    def __init__(self, v):
        self.v = v

    def __add__(self, o):
        return Vec(self.v + (o.v if isinstance(o, Vec) else o))

    def __radd__(self, o):
        return Vec(self.v + o)

    def __mul__(self, o):
        return Vec(self.v * o)

    def __getitem__(self, i):
        return self.v[i]

    def __len__(self):
        return 2

    def __call__(self, y):
        return self.v + y

    def __bool__(self):
        return False

    def __eq__(self, o):
        return True

    def __lt__(self, o):
        return False

    def __contains__(self, o):
        return o == 4

    def __iter__(self):
        return iter([self.v, 1])

    @property
    def double(self):
        return self.v * 2

    @staticmethod
    def sm(q):
        return q + 1

    @classmethod
    def make(cls, q):
        return cls(q * cls.k)

    def __getattr__(self, n):
        if n == "magic":
            return self.v + 42
        raise AttributeError(n)


@program()
def userclass(x):
    a = Vec(x)
    b = a + a
    c = a + 1
    d = 1 + a
    a.extra = 5
    return (
        b.v,
        c.v,
        d.v,
        (a * 2).v,
        a[0],
        len(a),
        a(x),
        bool(a),
        a == 3,
        a.double,
        Vec.sm(x),
        Vec.make(x).v,
        a.magic,
        hasattr(a, "nope"),
        getattr(a, "nope", 7),
        4 in a,
        list(a),
        a.extra,
    )


class Base:
    def f(self, x):
        return x + 1


class Child(Base):
    def f(self, x):
        return super().f(x) * 2

    def g(self, x):
        return super().f(x) * 3


@program()
def super_(x):
    c = Child()
    return (c.f(x), c.g(x))


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a):
        self.a = a


@program()
def slots(x):
    s = Slots(x)
    s.b = s.a * 2
    return s.b


@program()
def match(x):
    out = []
    for v in [1, [1, 2, 3], {"a": 1, "b": 2}, "str", Vec(x), NT(1, 2)]:
        match v:
            case 1:
                out.append("one")
            case [a, *b]:
                out.append((a, b))
            case {"a": q, **r}:
                out.append((q, r))
            case str(s):
                out.append(s)
            case Vec(v=w):
                out.append(w)
            case _:
                out.append("?")
    return out


@program(lambda: (ramp(), Vec(3)))
def mutate_obj(x, o):
    o.v = x * o.v
    o.n = 1
    del o.n
    o.m = [o.v]
    return o.v


@program()
def getattr_dyn(x):
    return (x.shape, x.exp(), hasattr(x, "nope"))
