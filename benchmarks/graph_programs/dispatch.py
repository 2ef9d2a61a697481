"""Choosing a function: by type, name, enumeration, class, pattern."""

import enum
import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Callable, Dict

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import program


@program("4x8")
def functools_singledispatch(x):
    @functools.singledispatch
    def f(a):
        return 0

    @f.register
    def _(a: int):
        return a + 1

    @f.register(torch.Tensor)
    def _(a):
        return a * 2

    return f(x), f(1), f("s")


class Mode(enum.Enum):
    SUM = "sum"
    MEAN = "mean"

    def __call__(self, x):
        return getattr(x, self.value)()


class Flags(enum.IntFlag):
    A = 1
    B = 2


@program("4x8 ='mean'", "4x8 ='sum'")
def enum_modes(x, mode):
    m = Mode(mode)
    if m is Mode.MEAN:
        x = x * 2
    return m(x), m.name, Flags.A | Flags.B, Mode["SUM"] == m


class Registry:
    _registry: Dict[str, Callable] = {}

    @classmethod
    def register(cls, name):
        def wrap(fn):
            cls._registry[name] = fn
            return fn

        return wrap

    @classmethod
    def get(cls, name):
        return cls._registry[name]


@Registry.register("swish")
def swish(x):
    return x * torch.sigmoid(x)


ACT2FN = {
    "relu": F.relu,
    "gelu": nn.GELU(),
    "swish": Registry.get("swish"),
    "tanh": torch.tanh,
    "quick": lambda x: x * torch.sigmoid(1.702 * x),
}


@program("4x8 ='relu'", "4x8 ='swish'", "4x8 ='quick'")
def registry_lookup(x, name):
    return ACT2FN[name](x)


class Shape(ABC):
    @abstractmethod
    def area(self, x): ...

    def doubled(self, x):
        return self.area(x) * 2


class Square(Shape):
    def area(self, x):
        return x**2


@program("4x8")
def abstract_classes(x):
    s = Square()
    return (
        s.doubled(x),
        isinstance(s, Shape),
        issubclass(Square, Shape),
        isinstance([1], Iterable),
        isinstance({}, Mapping),
    )


@program("4x8")
def match_statement(x):
    def act(spec, x):
        match spec:
            case "relu":
                return x.relu()
            case {"name": "leaky", "slope": s}:
                return F.leaky_relu(x, s)
            case [first, *rest]:
                return act(first, x) + len(rest)
            case None | 0:
                return x
            case _:
                raise ValueError(spec)

    return act("relu", x), act({"name": "leaky", "slope": 0.2}, x), act(["relu", 1], x), act(None, x)
