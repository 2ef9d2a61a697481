"""Match statements: every kind of pattern."""

from __future__ import annotations

import collections
import enum
import typing
from dataclasses import dataclass
from typing import Any, NamedTuple

from captured import ramp

from programs import program


class Side(enum.Enum):
    LEFT = 1
    RIGHT = 2


@dataclass
class Circle:
    radius: Any
    name: str = "c"


class Square:
    __match_args__ = ("size", "label")

    def __init__(self, size, label="s"):
        self.size = size
        self.label = label


class Span(NamedTuple):
    low: int
    high: int


def _literal(v):
    match v:
        case 0:
            return "zero"
        case 1 | 2 | 3:
            return "small"
        case -1:
            return "minus"
        case 2.5:
            return "float"
        case "a" | "b":
            return "text"
        case None:
            return "none"
        case True:
            return "true"
        case _:
            return "other"


@program()
def literals(x):
    return x, [_literal(v) for v in (0, 2, -1, 2.5, "b", None, True, False, 9, [])]


def _sequence(v):
    match v:
        case []:
            return "empty"
        case [a]:
            return "one", a
        case [1, *rest]:
            return "starts", rest
        case [first, *_, last]:
            return "ends", first, last
        case _:
            return "none"


@program()
def sequences(x):
    return x, [_sequence(v) for v in ([], [5], (1, 2, 3), [4, 5, 6], "ab", {1}, 7, range(3), Span(1, 2))]


@program()
def sequence_of_tensors(x):
    match [x, x + 1, 2]:
        case [a, b, int(n)]:
            return a * b * n
    return None


def _mapping(v):
    match v:
        case {"kind": "scale", "by": by}:
            return "scale", by
        case {"kind": str(kind), **rest}:
            return kind, rest
        case {}:
            return "any"
        case _:
            return "none"


@program()
def mappings(x):
    data = ({"kind": "scale", "by": x}, {"kind": "k", "a": 1, "b": 2}, {"kind": 3}, {}, [])
    return x, [_mapping(v) for v in data]


def _class(v):
    match v:
        case Circle(radius=None):
            return "point"
        case Circle(r, name="big"):
            return "big", r
        case Circle(r):
            return "circle", r
        case Square(size, label=text) if text != "t":
            return "square", size, text
        case Square():
            return "labelled"
        case Span(low, high):
            return "span", low + high
        case int(n) | float(n):
            return "number", n
        case str():
            return "str"
        case _:
            return "none"


@program()
def classes(x):
    things = (Circle(None), Circle(x, "big"), Circle(3), Square(4), Square(4, "t"), Span(1, 2), 7, 2.5, "s", None, True)
    return [_class(v) for v in things]


@program(lambda: (ramp(), Circle(2)), lambda: (ramp(), Square(5)), lambda: (ramp(), [1]))
def class_of_argument(x, shape):
    match shape:
        case Circle(r):
            return x * r
        case Square(size=s):
            return x + s
        case _:
            return x


@program(lambda: (ramp(), Side.LEFT), lambda: (ramp(), Side.RIGHT), lambda: (ramp(), 3))
def value_pattern(x, side):
    match side:
        case Side.LEFT:
            return x - 1
        case Side.RIGHT:
            return x + 1
    return x


@program()
def tensor_pattern(x):
    match x.shape:
        case (rows, 3) if rows > 1:
            return x * rows
        case _:
            return x


@program()
def capture_as(x):
    match (x, (1, 2)):
        case (t, (1, _) as pair):
            return t * pair[1]
    return None


@program()
def nested_patterns(x):
    match {"items": [Circle(1), {"deep": (x, [2, 3])}]}:
        case {"items": [Circle(radius=1), {"deep": (t, [a, b])}]}:
            return t * a + b
    return None


@program()
def names_stay_bound(x):
    match [1, 2]:
        case [1, 3]:
            pass
        case [a, 2 as b]:
            pass
    return x * a * b


@program()
def match_in_loop(x):
    for step in ["add", ("mul", 3), {"sub": 1}, "stop", "add"]:
        match step:
            case "add":
                x = x + 1
            case ("mul", n):
                x = x * n
            case {"sub": n}:
                x = x - n
            case "stop":
                break
    return x


@program()
def too_many_positional(x):
    try:
        match Circle(1):
            case Circle(1, "c", 3):
                return x
    except TypeError as e:
        return x, str(e)
    return None


@program(breaks=("data-dependent",))
def guard_on_data(x):
    match x.shape:
        case (_, _) if x.sum() > 0:
            return x + 1
        case _:
            return x - 1


class Even(type):
    """A metaclass that decides who is an instance."""

    def __instancecheck__(cls, value):
        return type(value) is int and value % 2 == 0

    def __subclasscheck__(cls, other):
        return other is int


class EvenNumber(metaclass=Even):
    pass


@typing.runtime_checkable
class Sized(typing.Protocol):
    def __len__(self): ...


class Pretender:
    """Claims another class."""

    size = 4
    label = "pretended"

    @property
    def __class__(self):
        return Square


class Number(int):
    pass


class Table(collections.UserDict):
    """Counts how it is asked."""

    asked = 0

    def get(self, key, default=None):
        self.asked += 1
        return super().get(key, default)


def named(value):
    match value:
        case EvenNumber():
            return "even"
        case Number(n):
            return "number", n
        case Square(size, label):
            return size, label
        case {"a": a, "b": b, **rest}:
            return a, b, rest
        case [first, *_]:
            return first
        case Sized():
            return "sized"
    return "nothing"


@program()
def classes_decide_what_matches(x):
    table = Table(a=1, b=2, c=3)
    values = [4, 3, Number(5), Pretender(), table, {"a": 1}, collections.deque([7]), {1}, range(2), "text"]
    checks = isinstance(3, EvenNumber), isinstance("a", (EvenNumber, str)), issubclass(int, EvenNumber)
    return x, [named(v) for v in values], table.asked, checks


class Plain:
    pass


class Listed:
    __match_args__ = ["a"]


class Doubled:
    __match_args__ = ("a", "a")
    a = 1


def refused(value):
    match value:
        case Plain(1):
            return "plain"
        case Listed(1):
            return "listed"
        case Doubled(1, 1):
            return "doubled"
        case int(1, 2):
            return "numbers"


@program()
def patterns_that_raise(x):
    found = []
    for value in (Plain(), Listed(), Doubled(), 3):
        try:
            refused(value)
        except TypeError as error:
            found.append(str(error))
    key = "k"

    class Keys:
        first = second = key

    try:
        match {"k": 1}:
            case {Keys.first: _, Keys.second: _}:
                pass
    except ValueError as error:
        found.append(str(error))
    return x, found
