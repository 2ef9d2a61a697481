"""How libraries around models are written: parsers of expressions, registries, dispatch, protocols, configuration."""

import abc
import copy
import functools
import inspect
import itertools
import logging
import operator
import re
import string
import sys
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


class Pattern:
    _cache: ClassVar[dict] = {}

    def __init__(self, text):
        self.text, self.groups, group = text, [], None
        for token in text.replace("(", " ( ").replace(")", " ) ").split():
            if token == "(":
                group = []
            elif token == ")":
                self.groups.append(tuple(group))
                group = None
            elif group is not None:
                group.append(token)
            else:
                self.groups.append((token,))
        if group is not None:
            raise ValueError(f"unbalanced parentheses in {text!r}")

    @classmethod
    def of(cls, text):
        if text not in cls._cache:
            cls._cache[text] = cls(text)
        return cls._cache[text]

    @property
    def axes(self):
        return [axis for group in self.groups for axis in group]


def rearrange(x, expression, **sizes):
    left, right = (Pattern.of(side.strip()) for side in expression.split("->"))
    if set(left.axes) != set(right.axes):
        raise ValueError(f"axes differ: {set(left.axes) ^ set(right.axes)}")
    known = dict(sizes)
    shape = []
    for length, group in zip(x.shape, left.groups, strict=True):
        unknown = [a for a in group if a not in known]
        rest = functools.reduce(operator.mul, (known[a] for a in group if a in known), 1)
        if len(unknown) > 1:
            raise ValueError(f"could not infer {unknown}")
        if unknown:
            known[unknown[0]] = length // rest
        shape += [known[a] for a in group]
    x = x.reshape(shape).permute([left.axes.index(a) for a in right.axes])
    return x.reshape([functools.reduce(operator.mul, map(known.__getitem__, g), 1) for g in right.groups])


@program("2x6x4", "2x6x4", "3x6x4")
def einops_by_hand(x):
    y = rearrange(x, "b (h w) c -> b c h w", h=2)
    z = rearrange(y, "b c h w -> (b h) (w c)")
    try:
        rearrange(x, "b n c -> b (n d)")
    except ValueError as e:
        return z, y.shape, sorted(str(e)), len(Pattern._cache)


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


@program("1x3x8x8", "1x3x8x8")
def block_strings(x):
    def decode(block):
        options = {}
        kind, *ops = block.split("_")
        for op in ops:
            splits = re.split(r"(\d.*)", op)
            if len(splits) >= 2:
                options[splits[0]] = splits[1]
        return kind, int(options.get("r", 1)), int(options["k"]), int(options["s"]), float(options.get("e", "1"))

    out = []
    for block in "ds_r1_k3_s1_e1_c16,ir_r2_k5_s2_e0.25,er_k1_s1".split(","):
        kind, repeats, kernel, stride, expand = decode(block)
        for _ in range(repeats):
            x = F.avg_pool2d(x, kernel, stride, padding=kernel // 2) * (1 + expand)
        out.append(f"{kind}:{tuple(x.shape)}")
    return x, " ".join(out)


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


_entrypoints: dict[str, Callable] = {}


def register_model(fn):
    module = sys.modules[fn.__module__]
    name = fn.__name__
    if hasattr(module, "__all__"):
        module.__all__.append(name)
    _entrypoints[name] = fn
    return fn


def _cfg(url="", **kwargs):
    return {"url": url, "input_size": (3, 8, 8), "pool_size": None, **kwargs}


default_cfgs = {"tiny_a": _cfg(classifier="head.fc"), "tiny_b": _cfg(input_size=(3, 6, 6), classifier="head")}


class Tiny(nn.Module):
    def __init__(self, width=8, norm_layer=None, act_layer="relu", num_classes=5, global_pool="avg"):
        super().__init__()
        norm_layer = norm_layer or functools.partial(nn.BatchNorm2d, eps=1e-3)
        act = {"relu": nn.ReLU, "silu": functools.partial(nn.SiLU, inplace=True)}[act_layer]
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), norm_layer(width), act())
        self.global_pool = global_pool
        self.head = nn.Linear(width, num_classes) if num_classes > 0 else nn.Identity()

    def forward_features(self, x):
        return self.stem(x)

    def forward_head(self, x, pre_logits: bool = False):
        if self.global_pool:
            x = x[:, :, ::2].mean((2, 3)) if self.global_pool == "avg" else x.amax((2, 3))
        return x if pre_logits else self.head(x)

    def forward(self, x):
        return self.forward_head(self.forward_features(x))


@register_model
def tiny_a(pretrained=False, **kwargs):
    return Tiny(**dict(dict(width=4, act_layer="silu"), **kwargs))


@register_model
def tiny_b(pretrained=False, **kwargs):
    return Tiny(**{"norm_layer": functools.partial(nn.GroupNorm, 2), **kwargs})


def create_model(name, **kwargs):
    name, _, tag = name.partition(".")
    kwargs = {k: v for k, v in kwargs.items() if v is not None}
    model = _entrypoints[name](**kwargs)
    model.default_cfg = copy.deepcopy(default_cfgs[name])
    model.pretrained_tag = tag
    return model


@made("2x3x8x8", "2x3x8x8")
def model_factory():
    models = [create_model("tiny_a.in1k", num_classes=0, drop=None), create_model("tiny_b", global_pool="max")]

    def ensemble(x):
        outs = []
        for model in models:
            height, width = model.default_cfg["input_size"][-2:]
            resized = F.interpolate(x, (height, width)) if x.shape[-2:] != (height, width) else x
            outs.append(model(resized))
        return outs, [m.pretrained_tag for m in models]

    return ensemble


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
    compose = lambda *fns: functools.reduce(lambda f, g: lambda v: g(f(v)), fns)  # noqa: E731
    add = lambda a: lambda b: a + b  # noqa: E731
    get, call = operator.itemgetter(1, 0), operator.methodcaller("clamp", min=0.0)
    shape_of = operator.attrgetter("shape")
    pair = get([x, x * 2])
    return compose(add(1), call, torch.sqrt)(x), pair, shape_of(pair[0]), list(itertools.starmap(pow, [(2, 3), (3, 2)]))
