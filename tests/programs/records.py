"""Records: dataclasses, named tuples, enums, namespaces, typed dictionaries."""

from __future__ import annotations

import collections
import dataclasses
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from captured import ramp

from programs import program


@dataclass
class Config:
    width: int = 3
    scale: float = 2.0
    names: list[str] = field(default_factory=list)

    @property
    def area(self) -> float:
        return self.width * self.scale


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any = 1

    def moved(self, by):
        return Point(self.x + by, self.y)


@dataclass(slots=True)
class Slotted:
    value: Any
    count: int = 0


@dataclass(frozen=True, slots=True)
class FrozenSlotted:
    value: Any
    count: int = 0


@dataclass(order=True)
class Version:
    major: int
    minor: int = 0
    label: str = field(default="", compare=False)


@dataclass(kw_only=True)
class Options:
    rate: float
    steps: int = 1


@dataclass
class Checked:
    low: int
    high: int
    span: int = field(init=False)
    seed: dataclasses.InitVar[int] = 0

    def __post_init__(self, seed):
        if self.high < self.low:
            raise ValueError(f"high {self.high} below low {self.low}")
        self.span = self.high - self.low + seed


@dataclass
class Derived(Config):
    depth: int = 4

    def __post_init__(self):
        self.total = self.depth * self.width


@dataclass(eq=False)
class ByIdentity:
    value: Any


@dataclass(unsafe_hash=True)
class Hashed:
    a: int
    b: str = "b"


@program()
def dataclass_defaults(x):
    c = Config()
    c.names.append("a")
    return (x * c.area, c.names, Config().names, c.width)


@program()
def dataclass_returned(x):
    return Config(4, names=["z"]), Point(x * 2), Slotted(x), FrozenSlotted(x + 1, 2)


@program()
def dataclass_frozen(x):
    p = Point(x).moved(3)
    try:
        p.x = x
    except dataclasses.FrozenInstanceError as e:
        return p.x * p.y, str(e)
    return None


@program()
def dataclass_frozen_delete(x):
    p = Point(x)
    try:
        del p.x
    except AttributeError as e:
        return x * 2, type(e).__name__, str(e)
    return None


@program()
def dataclass_slots(x):
    s = Slotted(x)
    s.count += 1
    s.value = s.value * s.count
    t = FrozenSlotted(s.value)
    return s, t.value + t.count


@program()
def dataclass_order(x):
    return (
        x,
        Version(1, 2) < Version(1, 3),
        Version(2) >= Version(1, 9),
        Version(1, 1, "a") == Version(1, 1, "b"),
        max(Version(1), Version(3), Version(2)).major,
        [v.major for v in sorted([Version(3), Version(1)])],
    )


@program()
def dataclass_keyword_only(x):
    o = Options(rate=0.5)
    return x * o.rate * o.steps, o


@program()
def dataclass_missing_keyword(x):
    try:
        Options(0.5)
    except TypeError as e:
        return x, str(e)
    return None


@program()
def dataclass_post_init(x):
    c = Checked(1, 4, seed=2)
    try:
        Checked(4, 1)
    except ValueError as e:
        return x * c.span, str(e)
    return None


@program()
def dataclass_inherited(x):
    d = Derived(2)
    return x * d.total, d.area, d


@program()
def dataclass_identity(x):
    a, b = ByIdentity(1), ByIdentity(1)
    return x, a == b, a == a, a != b


@program()
def dataclass_equality(x):
    return x, Config() == Config(), Config(1) != Config(2), Config() == 3


@program()
def dataclass_hash_key(x):
    table = {Hashed(1): 10, Hashed(2): 20}
    return x * table[Hashed(1)], Hashed(2) in table, Hashed(3) in table, len({Hashed(1), Hashed(1)})


@program()
def dataclass_replace(x):
    p = Point(x, 3)
    q = dataclasses.replace(p, y=5)
    return q.x * q.y, q


@program()
def dataclass_fields(x):
    return x, [f.name for f in dataclasses.fields(Config)], [f.name for f in dataclasses.fields(Config())]


@program()
def dataclass_is(x):
    return x, dataclasses.is_dataclass(Config), dataclasses.is_dataclass(Config()), dataclasses.is_dataclass(3)


@program()
def dataclass_asdict_of_numbers(x):
    return {f.name: getattr(Config(), f.name) for f in dataclasses.fields(Config)}, x


@program(lambda: (ramp(), Config(5)), lambda: (ramp(), Config(6)))
def dataclass_argument(x, c):
    c.width += 1
    c.names.append("seen")
    return x * c.width


@program(lambda: (ramp(), Point(ramp() + 1)), lambda: (ramp(), Point(ramp() + 2, 7)))
def dataclass_frozen_argument(x, p):
    return x * p.x + p.y


@program(lambda: (ramp(), Slotted(ramp())))
def dataclass_slots_argument(x, s):
    s.count = s.count + 1
    s.value = s.value + x
    return s.value


@program(lambda: (ramp(), Config(5)))
def dataclass_replace_argument(x, c):
    return dataclasses.replace(c, scale=7.0), x


class Pair(typing.NamedTuple):
    first: Any
    second: Any = 2

    def total(self):
        return self.first + self.second

    @property
    def swapped(self):
        return Pair(self.second, self.first)


Triple = collections.namedtuple("Triple", ["a", "b", "c"], defaults=[0])


@program()
def namedtuple_methods(x):
    p = Pair(x)
    return p.total(), p.swapped, p.swapped.first


@program()
def namedtuple_unpack(x):
    a, b, c = Triple(x, 1)
    return a * b + c, Triple(x, 2, 3)


@program()
def namedtuple_replace(x):
    t = Triple(1, 2, 3)._replace(b=x)
    return t, t._asdict(), t._fields, Triple._make([1, 2, 3])


@program()
def namedtuple_as_tuple(x):
    t = Triple(1, 2, 3)
    return (
        x,
        t == (1, 2, 3),
        t[1:],
        len(t),
        2 in t,
        t.index(3),
        t + (4,),
        isinstance(t, tuple),
        hash(t) == hash((1, 2, 3)),
    )


@program()
def namedtuple_keywords(x):
    t = Triple(c=x, a=1, b=2)
    return t.c * t.b, Triple(**{"a": 1, "b": x}), Triple(*[1, 2])


@program()
def namedtuple_wrong_call(x):
    try:
        Triple(1)
    except TypeError as e:
        return x, str(e)
    return None


@program(lambda: (ramp(), Pair(ramp(), 3)), lambda: (ramp(), Pair(ramp(), 4)))
def namedtuple_argument(x, p):
    return p._replace(first=x * p.second), p.first


@program()
def namedtuple_text(x):
    return x, repr(Triple(1, 2)), str(Pair(1, "s"))


class OrderedRecord(collections.OrderedDict):
    """Keeps its entries as attributes too, and gives them by position."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def __getitem__(self, key):
        if isinstance(key, str):
            return dict(self.items())[key]
        return tuple(self[k] for k in self.keys())[key]


@dataclasses.dataclass
class Outcome(OrderedRecord):
    first: object = None
    second: object = None

    def __post_init__(self):
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if value is not None:
                self[entry.name] = value


@program()
def ordered_dict_that_is_a_record(x):
    inner = Outcome(first=x * 2)
    outer = Outcome(second=inner[0] + inner.first, first=inner["first"])
    outer.move_to_end("first")
    return outer, list(outer.keys()), list(inner.items())


@program()
def dataclass_repr(x):
    return x, repr(Version(1, 2)), f"{Config(1)}"


@program()
def dataclass_asdict(x):
    return dataclasses.asdict(Point(2, [3, 4])), x


@program()
def dataclass_astuple(x):
    return dataclasses.astuple(Point(2, 3)), x


@program()
def namespace_equality(x):
    return x, types.SimpleNamespace(a=1) == types.SimpleNamespace(a=1), repr(types.SimpleNamespace(k=2))


@program(lambda: (ramp(), Outcome(first=ramp(), second=3)), lambda: (ramp(), Outcome(first=ramp(), second=4)))
def ordered_dict_record_argument(x, output):
    output["third"] = x * output.second
    output.move_to_end("first")
    first, *_ = (output[k] for k in output)
    return first, list(output), output["first"] + x, len(output), "second" in output


@program(lambda: (ramp(), Outcome(first=ramp())))
def ordered_dict_record_passed_on(x, output):
    return output, {"inner": output}, output.first * 2
