"""How libraries around models are written: parsers of expressions, registries, dispatch, protocols, configuration."""

import abc
import copy
import dataclasses
import functools
import inspect
import itertools
import logging
import operator
import re
import string
import types
from collections.abc import Callable
from functools import partialmethod
from typing import ClassVar, TypeVar

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program

log = logging.getLogger("graph_programs.idioms")
T = TypeVar("T")


# ---------------------------------------------------------------------------------------- parsed expressions


class Axes:
    """Names of axes, those that share one in parentheses: `b (h w)`."""

    known: ClassVar[dict] = {}

    def __new__(cls, text):
        if text not in cls.known:
            cls.known[text] = made_axes = super().__new__(cls)
            made_axes.shared = [tuple(part.strip("()").split()) for part in re.findall(r"\([^()]*\)|\w+", text)]
            if text.count("(") != text.count(")"):
                raise ValueError(f"{text!r} has a parenthesis without its other")
        return cls.known[text]

    @property
    def names(self):
        return list(itertools.chain.from_iterable(self.shared))

    def shape(self, sizes):
        return [functools.reduce(operator.mul, (sizes[axis] for axis in axes), 1) for axes in self.shared]


def rearrange(x, expression, **sizes):
    now, then = (Axes(side.strip()) for side in expression.split("->"))
    if lost := set(now.names).symmetric_difference(then.names):
        raise ValueError(f"on one side only: {sorted(lost)}")
    for length, axes in zip(x.shape, now.shared, strict=True):
        match [axis for axis in axes if axis not in sizes]:
            case []:
                continue
            case [axis]:
                sizes[axis] = length // functools.reduce(operator.mul, (sizes[a] for a in axes if a != axis), 1)
            case several:
                raise ValueError(f"the sizes of {several} are open")
    order = now.names
    return x.reshape([sizes[a] for a in order]).permute([order.index(a) for a in then.names]).reshape(then.shape(sizes))


@program("2x6x4", "2x6x4", "3x6x4")
def einops_by_hand(x):
    y = rearrange(x, "b (h w) c -> b c h w", h=2)
    z = rearrange(y, "b c h w -> (b h) (w c)")
    try:
        rearrange(x, "b n c -> b (n d)")
    except ValueError as e:
        return z, y.shape, sorted(str(e)), len(Axes.known)


@program("2x3x4 3x4", "2x3x4 3x4")
def named_einsum(x, w):
    def einsum(*operands, **names):
        *tensors, equation = operands
        letters = dict(names)
        inputs, output = equation.split("->")
        terms = [
            "".join(letters.setdefault(n, string.ascii_letters[len(letters)]) for n in re.findall(r"\w+", term))
            for term in (*inputs.split(","), output)
        ]
        return torch.einsum(",".join(terms[:-1]) + "->" + terms[-1], *tensors), letters

    return einsum(x, w, "batch row col, row col -> batch row", col="z")


class Layer:
    """A layer read from a word like `average:k3,s2,gain0.5*2`."""

    def __init__(self, kind, times, k=1, s=1, gain=1.0):
        self.kind, self.times, self.k, self.s, self.gain = kind, times, int(k), int(s), float(gain)

    @classmethod
    def read(cls, word):
        word, _, times = word.partition("*")
        kind, *options = re.split("[:,]", word)
        named = dict(re.findall(r"[a-z]+|[0-9.]+", option) for option in options)
        return cls(kind, int(times or 1), **named)


@program("1x3x8x8", "1x3x8x8")
def block_strings(x):
    pools, sizes = {"average": F.avg_pool2d, "largest": F.max_pool2d}, []
    for layer in map(Layer.read, "average:k3 largest:k5,s2,gain0.25*2 average".split()):
        for _ in range(layer.times):
            x = layer.gain * pools[layer.kind](x, layer.k, stride=layer.s, padding=layer.k // 2)
        sizes.append(f"{layer.kind[0]}{'x'.join(map(str, x.shape[2:]))}")
    return x, "/".join(sizes)


# ---------------------------------------------------------------------------------------- registries and factories


class RegistryMeta(abc.ABCMeta):
    registry: ClassVar[dict] = {}

    def __new__(mcs, name, bases, namespace, key=None, **kwargs):
        cls = super().__new__(mcs, name, bases, namespace, **kwargs)
        if key is not None:
            mcs.registry[key] = cls
        return cls

    def __call__(cls, *args, **kwargs):
        instance = super().__call__(*args, **kwargs)
        instance.created_by = cls.__name__
        return instance

    def __getitem__(cls, key):
        return RegistryMeta.registry[key]

    def __contains__(cls, key):
        return key in RegistryMeta.registry


class Activation(metaclass=RegistryMeta):
    @abc.abstractmethod
    def apply(self, x): ...


class Squared(Activation, key="squared"):
    def apply(self, x):
        return F.relu(x) ** 2


class Gated(Activation, key="gated"):
    def __init__(self, bias=0.0):
        self.bias = bias

    def apply(self, x):
        return x * torch.sigmoid(x + self.bias)


@program("4", "4")
def metaclass_registry(x):
    first = Activation["squared"]()
    second = Activation["gated"](bias=1.0)
    try:
        Activation()
    except TypeError as e:
        failed = "abstract" in str(e)
    return second.apply(first.apply(x)), first.created_by, "none" in Activation, failed


@dataclasses.dataclass(frozen=True)
class Offer:
    """A model that can be asked for by name: what makes it, and what it is made for."""

    make: Callable
    sizes: dict

    def __call__(self, **changes):
        model = self.make(**{name: value for name, value in changes.items() if value is not ...})
        model.made_for = types.SimpleNamespace(**copy.deepcopy(self.sizes))
        return model


OFFERS: dict[str, Offer] = {}


def offered(image=(8, 8), **sizes):
    def take(fn):
        OFFERS[fn.__name__.replace("_", "-")] = Offer(fn, {"image": image, **sizes})
        return fn

    return take


class Small(nn.Module):
    """A convolution, a summary of the image and scores."""

    acts: ClassVar[dict] = {"relu": nn.ReLU, "silu": functools.partial(nn.SiLU, inplace=True)}

    def __init__(
        self, width=8, norm=functools.partial(nn.BatchNorm2d, eps=1e-3), act="relu", classes=5, summary="mean"
    ):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), norm(width), self.acts[act]())
        self.summary = {"mean": torch.mean, "max": torch.amax}.get(summary)
        self.scores = nn.Linear(width, classes) if classes else nn.Identity()

    def forward(self, x, *, raw: bool = False):
        maps = self.body(x)[:, :, ::2]
        summary = maps if self.summary is None else self.summary(maps, (2, 3))
        return summary if raw else self.scores(summary)


@offered(classes=0)
def tiny_bare(**changes):
    return Small(**{"width": 4, "act": "silu", "classes": 0, **changes})


@offered((6, 6), classes=5)
def tiny_grouped(norm=functools.partial(nn.GroupNorm, 2), **changes):
    return Small(norm=norm, **changes)


def from_offer(name, **changes):
    name, _, weights = name.partition("@")
    model = OFFERS[name](**changes)
    model.weights_from = weights or None
    return model


@made("2x3x8x8", "2x3x8x8")
def model_factory():
    models = [from_offer("tiny-bare@pictures", width=...), from_offer("tiny-grouped", summary="max")]

    def each(x):
        scores = {}
        for model in models:
            fits = tuple(x.shape[2:]) == model.made_for.image
            scores[model.weights_from] = model(x if fits else F.interpolate(x, model.made_for.image))
        return scores, [model.made_for.classes for model in models]

    return each


# ---------------------------------------------------------------------------------------- functions


class Pipeline:
    def __init__(self):
        self.steps = []

    def add(self, step=None, *, name=None, every=1):
        if step is None:
            return functools.partial(self.add, name=name, every=every)
        self.steps.append((name or step.__name__, every, step))
        return step

    def __or__(self, other):
        self.steps.append((getattr(other, "__name__", "fn"), 1, other))
        return self

    def __call__(self, x):
        for index, (name, every, step) in enumerate(self.steps):
            if index % every == 0:
                log.debug("step %s of shape %s", name, x.shape)
                x = step(x)
        return x

    double = partialmethod(__or__, lambda v: v * 2)


@program("3", "3")
def decorated_pipelines(x):
    pipeline = Pipeline()

    @pipeline.add
    def center(v):
        return v - v.mean()

    @pipeline.add(name="scale", every=1)
    def scale(v, by=3):
        return v * by

    return (pipeline | torch.abs | F.relu).double()(x), [n for n, *_ in pipeline.steps]


def validated(**rules):
    def decorate(fn):
        signature = inspect.signature(fn)

        @functools.wraps(fn)
        def wrapper(*args, **kwargs):
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            for name, rule in rules.items():
                if not rule(bound.arguments[name]):
                    raise ValueError(f"{fn.__qualname__}: bad {name}: {bound.arguments[name]!r}")
            return fn(*bound.args, **bound.kwargs)

        return wrapper

    return decorate


@validated(k=lambda v: v > 0, mode=lambda v: v in ("max", "mean"))
def pooled(x, k, *rest, mode="max", **extra):
    return getattr(x.unfold(0, k, k), {"max": "amax", "mean": "mean"}[mode])(-1) + len(rest) + len(extra)


@program("6 =2", "6 =3", "6 =0")
def validated_arguments(x, k):
    try:
        return pooled(x, k, 1, mode="mean", extra=2), pooled(x, k), pooled.__wrapped__.__name__
    except ValueError as e:
        return x, str(e)


@program("3", "3")
def compose_and_curry(x):
    def compose(*functions):
        return functools.reduce(lambda f, g: lambda v: g(f(v)), functions)

    def add(a):
        return lambda b: a + b

    get, call = operator.itemgetter(1, 0), operator.methodcaller("clamp", min=0.0)
    shape_of = operator.attrgetter("shape")
    pair = get([x, x * 2])
    return compose(add(1), call, torch.sqrt)(x), pair, shape_of(pair[0]), list(itertools.starmap(pow, [(2, 3), (3, 2)]))
