"""Records, enums, protocols and dispatch on types, as libraries around models use them."""

import copy
import dataclasses
import enum
import importlib
import os
import re
import sys
from collections import namedtuple
from dataclasses import dataclass, field
from functools import singledispatchmethod, total_ordering
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypedDict, TypeVar, runtime_checkable

import torch
import torch.nn as nn

from graph_programs import made, program

try:
    import not_installed_anywhere as _fast

    HAS_FAST = True
except ImportError:
    _fast, HAS_FAST = None, False

T = TypeVar("T")


@runtime_checkable
class HasEncode(Protocol):
    def encode(self, x: Any) -> Any: ...


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def encode(self, x):
        return self.fc(x)


@made("3x4", "3x4")
def protocol_classes():
    encoder, plain = Encoder(), nn.Linear(4, 2)

    def run(x):
        return [m.encode(x) if isinstance(m, HasEncode) else m(x) for m in (encoder, plain)]

    return run


class Loss:
    @singledispatchmethod
    def __call__(self, target, x):
        raise TypeError(f"no loss for {type(target).__name__}")

    @__call__.register
    def _(self, target: list, x):
        return sum(self(t, x) for t in target)

    @__call__.register(int)
    @__call__.register(float)
    def _(self, target, x):
        return ((x - target) ** 2).mean()

    @__call__.register
    def _(self, target: dict, x):
        return {k: self(v, x) for k, v in target.items()}


@program("3", "3")
def dispatch_on_methods(x):
    loss = Loss()
    try:
        loss("?", x)
    except TypeError as e:
        return loss([1, 2.0, [3]], x), loss({"a": 1}, x), str(e)


class Stage(enum.Enum):
    TRAIN = ("train", 0.5)
    EVAL = ("eval", 0.0)

    def __init__(self, label, rate):
        self.label, self.rate = label, rate

    @classmethod
    def _missing_(cls, value):
        return next((m for m in cls if m.label == str(value).lower()), None)

    @property
    def is_training(self):
        return self is Stage.TRAIN


class Feature(enum.Flag):
    BIAS = enum.auto()
    NORM = enum.auto()
    GATE = enum.auto()
    ALL = BIAS | NORM | GATE


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 3


class Kind(str, enum.Enum):
    SUM = "sum"
    MEAN = "mean"

    def __str__(self):
        return self.value


@program("4 ='eval'", "4 ='TRAIN'", "4 ='eval'")
def enums_with_behaviour(x, name):
    stage = Stage(name)
    features = Feature.ALL & ~Feature.NORM
    if Feature.BIAS in features and stage.is_training:
        x = x + stage.rate
    pick = {Kind.SUM: torch.sum, Kind.MEAN: torch.mean}[Kind("mean")]
    return x[Level.LOW :], pick(x) * Level.HIGH, f"{Kind.SUM}/{Kind.MEAN!s}", [f.name for f in Feature if f in features]


@dataclass(order=True, frozen=True, slots=True)
class Span:
    start: int
    end: int = field(default=-1, compare=False)
    tags: tuple = field(default_factory=tuple, repr=False)

    def __post_init__(self):
        if self.end == -1:
            object.__setattr__(self, "end", self.start + 2)

    def __len__(self):
        return self.end - self.start

    def shifted(self, by):
        return dataclasses.replace(self, start=self.start + by, end=self.end + by)


@program("8", "8")
def frozen_dataclasses(x):
    spans = sorted([Span(4), Span(0, 3, ("a",)), Span(2).shifted(1)])
    try:
        spans[0].start = 5
    except dataclasses.FrozenInstanceError as e:
        failed = str(e)
    pieces = torch.cat([x[s.start : s.end] * len(s) for s in spans])
    return (
        pieces,
        failed,
        repr(spans[0]),
        [dataclasses.astuple(s) for s in spans],
        Span(0) == Span(0, 7),
        {Span(1): 2}[Span(1)],
    )


@dataclass
class Batch(Generic[T]):
    data: T
    mask: Any = None
    meta: dict = field(default_factory=dict)
    count: ClassVar[int] = 0

    def map(self, fn):
        changes = {
            f.name: fn(v) for f in dataclasses.fields(self) if isinstance(v := getattr(self, f.name), torch.Tensor)
        }
        return dataclasses.replace(self, **changes)

    def __iter__(self):
        yield from (self.data, self.mask)


@program("2x3", "2x3")
def generic_dataclass(x):
    batch = Batch[torch.Tensor](x, x > 0, meta={"n": 1}).map(lambda t: t * 2)
    batch.meta.setdefault("seen", []).append(batch.count)
    data, mask = batch
    shallow, deep = copy.copy(batch), copy.deepcopy(batch)
    shallow.meta["n"] += 1
    return torch.where(mask.bool(), data, -data), batch.meta, deep.meta, dataclasses.asdict(deep)["meta"]


class Point(NamedTuple):
    x: Any
    y: Any = 1.0

    def scaled(self, by):
        return self._replace(x=self.x * by, y=self.y * by)


class Options(TypedDict, total=False):
    scale: float
    names: list


@program("3", "3")
def tuples_and_typed_dicts(x):
    p = Point(x).scaled(2)
    options: Options = {"scale": 3.0}
    Pair = namedtuple("Pair", ["left", "right"], defaults=[None])
    pair = Pair._make([p.x, p.y])._asdict()
    return pair["left"] * options.get("scale", 1.0) + p.y, Pair(1), p._fields, "names" in options, Options.__total__


@total_ordering
class Version:
    def __init__(self, text):
        self.parts = tuple(int(p) for p in re.match(r"(\d+)\.(\d+)", text).groups())

    def __eq__(self, other):
        return self.parts == other.parts

    def __lt__(self, other):
        return self.parts < other.parts

    def __hash__(self):
        return hash(self.parts)


@program("3", "3")
def version_checks(x):
    if Version("2.10") >= Version("2.9") and not HAS_FAST:
        x = x * 2
    newest = max([Version("1.2"), Version("1.10"), Version("0.9")])
    spec = importlib.util.find_spec("not_installed_anywhere") if hasattr(importlib, "util") else None
    return x, newest.parts, spec is None, sys.version_info >= (3, 8), os.path.splitext("model.bin")[1]
