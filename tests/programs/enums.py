"""Enums, flags and namespaces."""

from __future__ import annotations

import copy
import enum
import types
import typing
from typing import Any

from captured import ramp

from programs import program


class Color(enum.Enum):
    RED = 1
    GREEN = 2
    CRIMSON = 1

    @property
    def doubled(self):
        return self.value * 2

    @classmethod
    def default(cls):
        return cls.GREEN


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 5


class Mode(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE


class Bits(enum.IntFlag):
    A = 1
    B = 2


class Kind(str, enum.Enum):
    LINEAR = "linear"
    CUBIC = "cubic"


@program()
def enum_members(x):
    return x * Color.RED.value, Color.GREEN.name, Color.CRIMSON is Color.RED, Color.default(), Color.GREEN.doubled


@program()
def enum_lookup(x):
    return x, Color(2), Color["RED"], Color.RED in Color, len(Color)


@program()
def enum_iteration(x):
    return x, [c.name for c in Color], {c: c.value for c in Color}, list(Level)


@program()
def enum_missing(x):
    try:
        Color(9)
    except ValueError as e:
        return x, str(e)
    return None


@program()
def enum_missing_name(x):
    try:
        Color["BLUE"]
    except KeyError as e:
        return x, str(e)
    return None


@program()
def enum_compare(x):
    return x, Color.RED == Color.RED, Color.RED != Color.GREEN, Color.RED == 1, Level.LOW == 1, Level.LOW < Level.HIGH


@program()
def int_enum_arithmetic(x):
    return x * Level.HIGH, Level.LOW + 2, [10, 20][Level.LOW], max(Level)


@program()
def flag_combinations(x):
    m = Mode.READ | Mode.WRITE
    return x, m is Mode.BOTH, Mode.READ in m, bool(m & Mode.WRITE), (m & ~Mode.READ) == Mode.WRITE, m.value


@program()
def int_flag(x):
    b = Bits.A | Bits.B
    return x * int(b), b & Bits.A, Bits.A in b, b == 3


@program()
def str_enum(x):
    k = Kind("cubic")
    return x, k is Kind.CUBIC, k == "cubic", k.upper(), {"cubic": 3}[k], Kind.LINEAR.value


@program()
def enum_text(x):
    return x, str(Color.RED), repr(Color.GREEN), f"{Color.RED}", f"{Level.LOW}", str(Mode.READ)


@program()
def enum_dispatch(x):
    table = {Color.RED: lambda t: t + 1, Color.GREEN: lambda t: t * 2}
    return table[Color.GREEN](x)


@program(lambda: (ramp(), Color.RED), lambda: (ramp(), Color.GREEN), lambda: (ramp(), Level.LOW))
def enum_argument(x, c):
    if c is Color.RED:
        return x + 1
    if c == Color.GREEN:
        return x * 2
    return x - c.value


@program()
def namespace_made(x):
    n = types.SimpleNamespace(a=x, b=2)
    n.c = n.a * n.b
    del n.a
    return n.c, sorted(vars(n)), n


@program(lambda: (ramp(), types.SimpleNamespace(rate=2.0, steps=[1])))
def namespace_argument(x, n):
    n.rate *= 2
    n.steps.append(2)
    n.extra = x
    return x * n.rate


class Movie(typing.TypedDict, total=False):
    name: str
    score: Any


@program()
def typed_dict(x):
    m = Movie(name="a", score=x)
    m["score"] = m["score"] * 2
    return m, type(m).__name__


@program()
def typing_cast(x):
    return typing.cast("int", x) * 2, typing.cast(list[int], [1])


@program()
def members_copied(x):
    kept = {"color": Color.RED, "flags": [Mode.READ | Mode.WRITE]}
    return x, copy.copy(Color.RED) is Color.RED, copy.deepcopy(kept)["color"] is Color.RED
