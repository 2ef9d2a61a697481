"""Programs of the kinds that users of graph compilers report as breaking, rewritten small."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import functools
import itertools
import math
import operator
import random
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Optional

from captured import ramp

import tracegraph as tg
from programs import program
from tracegraph import nn

# ---- configuration objects


class Settings(dict):
    """A dictionary whose attributes are its entries: methods of C stand where Python looks for its own."""

    __setattr__, __getattr__ = dict.__setitem__, dict.__getitem__


@program(lambda: (ramp(), Settings(scale=2.0, shift=1.0)), lambda: (ramp(), Settings(scale=3.0, shift=1.0)))
def config_by_attribute(x, settings):
    settings.seen = True
    return x * settings.scale + settings.shift


class FrozenConfig:
    def __init__(self, **values):
        object.__setattr__(self, "_values", dict(values))

    def __getattr__(self, name):
        try:
            return object.__getattribute__(self, "_values")[name]
        except KeyError:
            raise AttributeError(f"no option {name!r}") from None

    def __setattr__(self, name, value):
        raise TypeError("options are frozen")

    def __contains__(self, name):
        return name in self._values


@program(lambda: (ramp(), FrozenConfig(rate=0.5)))
def frozen_config(x, config):
    try:
        config.rate = 1
    except TypeError as e:
        text = str(e)
    return x * config.rate, text, getattr(config, "missing", 3), "rate" in config


@dataclasses.dataclass
class Batch:
    tokens: Any
    mask: Any = None
    meta: dict = dataclasses.field(default_factory=dict)

    def to(self, dtype):
        changed = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        changed["tokens"] = changed["tokens"].to(dtype)
        return type(self)(**changed)

    def __iter__(self):
        return iter((self.tokens, self.mask))


@program(lambda: (Batch(ramp(), None, {"id": 3}),), lambda: (Batch(ramp(), ramp() > 2, {"id": 3}),))
def batch_object(batch):
    tokens, mask = batch.to(tg.float64)
    if mask is not None:
        tokens = tokens.masked_fill(mask, 0.0)
    batch.meta["steps"] = batch.meta.get("steps", 0) + 1
    return dataclasses.replace(batch, tokens=tokens * batch.meta["id"])


# ---- registries and dispatch


REGISTRY: dict[str, Callable[..., Any]] = {}


def register(name):
    def decorate(function):
        REGISTRY[name] = function
        return function

    return decorate


@register("relu")
def _relu(t):
    return t.clamp(min=0)


@register("square")
def _square(t):
    return t * t


@program(lambda: (ramp() - 3, "relu"), lambda: (ramp() - 3, "square"))
def activation_by_name(x, name):
    return REGISTRY[name](x)


@program()
def unknown_activation(x):
    try:
        return REGISTRY["swish"](x)
    except KeyError as e:
        return x, f"unknown {e}"


class Stage(enum.Enum):
    TRAIN = "train"
    EVAL = "eval"


@program(lambda: (ramp(), Stage.TRAIN), lambda: (ramp(), Stage.EVAL))
def table_by_enum(x, stage):
    scales = {Stage.TRAIN: 0.5, Stage.EVAL: 1.0}
    names = {s: s.name.lower() for s in Stage}
    return x * scales[stage], names[stage]


# ---- trees of tensors


def tree_map(function, tree):
    if isinstance(tree, Mapping):
        return type(tree)((k, tree_map(function, v)) for k, v in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(tree_map(function, v) for v in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)(tree_map(function, v) for v in tree)
    return function(tree)


Cache = collections.namedtuple("Cache", "keys values")


@program()
def tree_of_tensors(x):
    tree = {"a": [x, (x + 1, 2)], "b": Cache(x * 2, [x]), "c": collections.OrderedDict(z=1)}
    return tree_map(lambda v: v * 2, tree)


@program(lambda: ([[Cache(ramp(), ramp() + 1)], {"h": ramp()}],))
def tree_argument(tree):
    leaves = []
    tree_map(leaves.append, tree)
    return sum(leaf.sum() for leaf in leaves), len(leaves)


# ---- caches and state


class Recollection:
    """What layers have put in so far, each asked back with the new rows at its end."""

    def __init__(self):
        self.of_layer: dict[int, list[Any]] = {}
        self.rows = 0

    def extended(self, layer, *new):
        before = self.of_layer.setdefault(layer, [rows[:0] for rows in new])
        before[:] = [tg.cat([old, rows]) for old, rows in zip(before, new, strict=True)]
        self.rows = max(self.rows, len(before[0]))
        return before


@program(lambda: (ramp(), Recollection()))
def cache_filled_in_place(x, cache):
    for step in range(2):
        for layer in range(2):
            key, value = cache.extended(layer, x + step, x * layer)
    return (key * value).sum(), cache.rows


class Meter:
    def __init__(self):
        self.total, self.count = 0.0, 0
        self.history = collections.deque(maxlen=2)

    def __iadd__(self, value):
        self.total = self.total + value
        self.count += 1
        self.history.append(self.count)
        return self

    @property
    def mean(self):
        return self.total / max(self.count, 1)


@program(lambda: (ramp(), Meter()))
def running_mean(x, meter):
    for row in x:
        meter += row.sum()
    meter += 1.0
    return meter.mean


@program()
def ema_of_parameters(x):
    shadow = {"w": x, "b": x * 0}
    live = {"w": x * 2, "b": x + 1}
    for name in shadow.keys() & live.keys():
        shadow[name] = shadow[name] * 0.9 + live[name] * 0.1
    return dict(sorted(shadow.items()))


# ---- wrappers and hooks


class Pipeline:
    def __init__(self, *steps):
        self.steps = list(steps)

    def __or__(self, step):
        return Pipeline(*self.steps, step)

    def __rshift__(self, value):
        return functools.reduce(lambda v, step: step(v), self.steps, value)

    def __len__(self):
        return len(self.steps)


@program()
def operators_as_pipeline(x):
    pipeline = Pipeline(lambda t: t + 1) | operator.neg | functools.partial(operator.mul, 3)
    return pipeline >> x, len(pipeline)


def timed(log):
    @contextlib.contextmanager
    def section(name):
        log.append(("start", name))
        try:
            yield len(log)
        finally:
            log.append(("stop", name))

    return section


@program()
def sections(x):
    log: list[tuple[str, str]] = []
    section = timed(log)
    with section("outer") as n:
        for i in range(2):
            with section(f"inner {i}"):
                x = x * n
                if i == 1:
                    break
    return x, log


def retry(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            errors = []
            for attempt in range(times):
                try:
                    return function(*args, attempt=attempt, **kwargs), errors
                except ValueError as e:
                    errors.append(str(e))
            raise RuntimeError(f"{function.__name__} failed {times} times")

        return wrapper

    return decorate


@retry(3)
def flaky(x, attempt):
    if attempt < 2:
        raise ValueError(f"attempt {attempt}")
    return x * attempt


@retry(1)
def hopeless(x, attempt):
    raise ValueError(attempt)


@program()
def retried(x):
    y, errors = flaky(x)
    try:
        hopeless(x)
    except RuntimeError as e:
        return y, errors, str(e)
    return None


class Tracer:
    """Wraps an object and counts what is asked of it."""

    def __init__(self, wrapped):
        self._wrapped = wrapped
        self._asked = collections.Counter()

    def __getattr__(self, name):
        self._asked[name] += 1
        return getattr(self._wrapped, name)

    def __call__(self, *args, **kwargs):
        return self._wrapped(*args, **kwargs)


@program()
def proxy_object(x):
    proxy = Tracer(types.SimpleNamespace(scale=3, apply=lambda t: t + 1))
    y = proxy.apply(x) * proxy.scale * proxy.scale
    return y, dict(proxy._asked)


# ---- numbers of Python


@program()
def schedule(x):
    def cosine(step, total):
        return 0.5 * (1 + math.cos(math.pi * step / total))

    return [x * round(cosine(i, 4), 3) for i in range(3)], math.ceil(7 / 2), divmod(7, 2), 7 // -2, -7 % 3


@program()
def windows(x):
    sizes = list(itertools.accumulate([1, 1]))
    bounds = [*itertools.pairwise([0, *sizes])]
    return [x[a:b] for a, b in bounds], list(zip(*bounds))


@program()
def shapes_unpacked(x):
    batch, *rest, last = (1, *x.shape)
    size = functools.reduce(operator.mul, x.shape, 1)
    return x.reshape(batch, *rest, last), size, x.reshape(-1, *x.shape[1:]), math.prod(x.shape[:-1])


@program()
def string_of_dimensions(x):
    order = {d: i for i, d in enumerate("bc")}
    axes = [order[c] for c in "c b".split()]
    return x.permute(*axes), "".join(sorted(order, key=order.get, reverse=True))


@program()
def slices_kept(x):
    cut = slice(0, 2)
    key = (cut, Ellipsis, None, slice(None, None, 2))
    return x[key], x[cut].shape, cut.indices(5), cut == slice(0, 2)


# ---- Modules


class Gate(nn.Module):
    def __init__(self, kind: str = "add", *, scale: Optional[float] = None):
        super().__init__()
        self.kind = kind
        self.scale = scale
        self.layers = nn.ModuleDict({"a": nn.Identity(), "b": nn.Identity()})
        self.calls = 0
        self.extra: dict[str, Any] = {}

    def forward(self, x, **options):
        self.calls += 1
        branches = {name: layer(x) for name, layer in self.layers.items()}
        combine = getattr(self, f"_{self.kind}")
        y = combine(*branches.values())
        if options.get("keep"):
            self.extra["kept"] = y
        return y if self.scale is None else y * self.scale

    def _add(self, a, b):
        return a + b

    def _mul(self, a, b):
        return a * b


@program(
    lambda: (ramp(), Gate()),
    lambda: (ramp(), Gate("mul", scale=2.0)),
    lambda: (ramp(), Gate("mul", scale=3.0)),
)
def module_with_options(x, gate):
    return gate(x, keep=True), gate.calls, sorted(gate.extra)


class WithMixin:
    registry: typing.ClassVar[list[str]] = []

    def note(self, text):
        self.registry.append(text)
        return len(self.registry)


class Noted(WithMixin, nn.Module):
    def forward(self, x):
        n = self.note("forward")
        self.registry.clear()
        return x * n


@program(lambda: (ramp(), Noted()))
def class_attribute_written(x, module):
    return module(x), module.registry


@program(lambda: (ramp(), [nn.Identity(), nn.Linear(3, 3).requires_grad_(False)]))
def modules_in_a_list(x, layers):
    seen = {id(m): type(m).__name__ for m in layers}
    for layer in layers:
        if isinstance(layer, nn.Identity):
            x = layer(x)
    return x, list(seen.values()), [type(m) is nn.Linear for m in layers]


# ---- what breaks, and goes on


@program(breaks=None)
def progress_bar(x):
    total = x * 0
    for i, row in enumerate(x):
        total = total + row
        if i % 1 == 0:
            print(f"step {i}", end=" ")
    return total


@program(breaks=None)
def stops_early(x):
    for i in range(5):
        x = x * 0.5
        if x.sum() < 6:
            break
    else:
        i = -1
    return x, i


@program(breaks=None)
def random_depth(x):
    random.seed(1)
    for _ in range(random.randint(1, 3)):
        x = x + 1
    return x


@program(breaks=None)
def numbers_out_and_in(x):
    scale = max(float(x.max()), 1e-6)
    normal = x / scale
    return {"scale": scale, "normal": normal, "large": [bool(v > 0.5) for v in normal[0]]}


@program(breaks=None)
def logs_in_handler(x):
    try:
        y = x @ x
    except RuntimeError as e:
        print("failed:", type(e).__name__)
        y = x @ x.T
    finally:
        print("done")
    return y
