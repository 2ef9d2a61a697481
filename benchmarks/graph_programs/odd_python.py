"""Python that turns up in model code now and then: descriptors, exit stacks, proxies, formatting, recursion, clocks."""

import base64
import contextlib
import datetime
import fractions
import functools
import hashlib
import io
import itertools
import json
import math
import operator
import random
import statistics
import string
import struct
import sys
import textwrap
import threading
import time
import traceback
import types
import warnings
import weakref
from collections import ChainMap, UserList, deque
from decimal import Decimal

import numpy as np
import torch
import torch.nn as nn

from graph_programs import made, program


@program("3", "3")
def exit_stacks(x):
    log = []
    with contextlib.ExitStack() as stack:
        stack.callback(log.append, "last")
        stack.enter_context(torch.no_grad())
        stack.push(lambda *exc: log.append(exc[0]))
        with contextlib.suppress(ZeroDivisionError, KeyError):
            log.append(1 / 0)
        y = x * 2
        kept = stack.pop_all()
    log.append("between")
    kept.close()
    return y, log, torch.is_grad_enabled()


class Timed:
    """A decorator that is a descriptor."""

    def __init__(self, fn):
        functools.update_wrapper(self, fn)
        self.fn, self.calls = fn, 0

    def __get__(self, instance, owner=None):
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.fn(*args, **kwargs)


class Positive:
    def __set_name__(self, owner, name):
        self.name = f"_{name}"

    def __get__(self, instance, owner):
        return self if instance is None else instance.__dict__.get(self.name, 1.0)

    def __set__(self, instance, value):
        if value <= 0:
            raise ValueError(f"{self.name[1:]} must be positive")
        instance.__dict__[self.name] = value


@made("2x4", "2x4")
def descriptors_everywhere():
    class Layer(nn.Module):
        gain = Positive()

        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)
            self.gain = 0.5

        @Timed
        def scaled(self, x, *, by=1):
            return self.fc(x) * self.gain * by

        def forward(self, x):
            try:
                self.gain = -1
            except ValueError as e:
                text = str(e)
            y = self.scaled(x, by=2)
            self.gain = self.gain * 2
            return y, text, Layer.scaled.calls, self.scaled.__name__

    return Layer()


@program("4", "4")
def generators_with_results(x):
    def inner(n):
        total = 0
        for i in range(n):
            got = yield x[i]
            total = total + (got if got is not None else 0)
        return total

    def outer():
        first = yield from inner(2)
        second = yield from inner(1)
        return first, second

    g = outer()
    values = [next(g)]
    try:
        while True:
            values.append(g.send(values[-1] * 2))
    except StopIteration as stop:
        results = stop.value
    closed = inner(3)
    next(closed)
    closed.close()
    return torch.stack(values), results, next(closed, "empty")


@program("3", "3")
def context_decorators(x):
    class scaled(contextlib.ContextDecorator):
        active = 1

        def __init__(self, by):
            self.by = by

        def __enter__(self):
            self.before, type(self).active = self.active, self.active * self.by
            return self

        def __exit__(self, kind, error, tb):
            type(self).active = self.before
            return kind is LookupError

    @scaled(3)
    def inside(v):
        return v * scaled.active

    with scaled(2) as s:
        a = inside(x) + s.by
        raise LookupError("swallowed")
    return a, scaled.active


@program("3", "3")
def control_in_finally(x):
    out = []
    for i in range(5):
        try:
            if i == 1:
                continue
            if i == 4:
                break
            out.append(x * i)
        except ValueError:
            out.append(x)
        else:
            out.append(x + i)
        finally:
            out.append(x - i)
            if i == 2:
                continue
    else:
        out.append(x * 100)
    return torch.stack(out).sum(0), len(out)


@program("3", "3")
def chained_exceptions(x):
    class Problem(RuntimeError):
        def __init__(self, message, shape):
            super().__init__(message)
            self.shape = shape

    try:
        try:
            {}["missing"]
        except KeyError as e:
            raise Problem("no entry", x.shape) from e
    except Problem as e:
        e.add_note("seen") if hasattr(e, "add_note") else None
        chain = [type(e).__name__, type(e.__cause__).__name__, e.args, tuple(e.shape)]
        with contextlib.suppress(RuntimeError):
            raise
    return x * len(chain), chain, sys.exc_info()[0]


@program("2x3", "2x3")
def formatted_text(x):
    width, name = 8, "loss"
    parts = [f"{name!r:>{width}}", f"{3.14159:.2f}|{1e-3:e}|{255:#x}|{1234567:,}", "%s-%03d" % (name, 7)]
    parts.append("{0}/{1[0]}/{kw.shape}".format(1, [2], kw=x).replace("torch.Size", ""))
    parts.append(string.Template("$a and ${b}").substitute(a=1, b=x.shape[0]))
    parts += textwrap.wrap("some words in a row", 10)
    table = str.maketrans("abc", "xyz")
    parts.append("aabbcc".translate(table).center(width, "*").title())
    parts.append(f"{x.dim()=} {x.dtype}".split(".")[-1].rjust(4))
    return x * len("".join(parts)), parts


@program("4", "4")
def numbers_of_python(x):
    n = x.shape[0]
    values = [math.gcd(n, 6), math.isqrt(n * 5), math.comb(n, 2), divmod(n, 3), round(n / 3, 2), n << 3 ^ 5, ~n]
    values += [int("1010", 2), float("1e-2"), 2**70 % 1000, pow(3, n, 7), hex(n * 16), bin(n), n.bit_length()]
    values += [fractions.Fraction(n, 6) + 1 == fractions.Fraction(5, 3), float(Decimal("0.5")), math.fsum([0.1] * 3)]
    values += [statistics.mean([1, 2, 6]), (0.5).as_integer_ratio(), float.fromhex("0x1p-1"), math.inf > n, -7 // 2]
    return x * values[0] + values[4], values


@program("3", "3")
def keyed_by_digest(x):
    config = {"layers": 2, "scale": [1, 2.5], "name": None}
    text = json.dumps(config, sort_keys=True)
    digest = hashlib.md5(text.encode()).hexdigest()[:6]
    packed = struct.pack("<if", 3, 0.5)
    decoded = json.loads(text)
    return x * decoded["scale"][1], digest, struct.unpack("<if", packed), base64.b64encode(b"ab").decode()


@program("3", "3")
def timed_sections(x):
    started = time.perf_counter()
    y = x * 2
    elapsed = time.perf_counter() - started
    now = datetime.datetime(2020, 1, 2) + datetime.timedelta(days=1)
    return y + 1, elapsed >= 0, now.strftime("%Y-%m-%d"), isinstance(time.time(), float)


@program("3", "3")
def own_random_stream(x):
    rng, other = random.Random(3), np.random.default_rng(4)
    order = list(range(4))
    rng.shuffle(order)
    scale = rng.uniform(1, 2) + float(other.normal())
    return x * scale, order, rng.choice("abc"), rng.sample(range(9), 2), int(other.integers(0, 9))


@program("3", "3")
def warnings_recorded(x):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("careful", UserWarning, stacklevel=2)
        y = x + len(caught)
    return y, [str(w.message) for w in caught]


@program("3", "3")
def printed_to_buffers(x):
    buffer = io.StringIO()
    with contextlib.redirect_stdout(buffer):
        print("inside", x.shape[0])
    sys.stdout.write("outside\n")
    buffer.write("more")
    return x * 2, buffer.getvalue()


@program("3", "3")
def traceback_texts(x):
    try:
        raise ValueError("odd")
    except ValueError:
        text = traceback.format_exc().splitlines()[-1]
    return x + 1, text


@program("3", "3")
def recursion_with_memo(x):
    memo = {}

    def fib(n):
        if n not in memo:
            memo[n] = x if n < 2 else fib(n - 1) + fib(n - 2)
        return memo[n]

    def depth(tree):
        return 1 + max(map(depth, tree.values()), default=0) if isinstance(tree, dict) else 0

    return fib(7), len(memo), depth({"a": {"b": 1, "c": {"d": {}}}})


@program("3", "3")
def dynamic_names(x):
    scope = {"x": x, "scale": 2}
    names = sorted(n for n in locals() if n != "scope")
    module = types.ModuleType("made")
    module.factor = 3
    made_class = type("Made", (object,), {"go": lambda self, v: v * module.factor, "__slots__": ()})
    return made_class().go(x) + scope["scale"], names, "recursion_with_memo" in globals(), made_class.__name__


@program("3", "3")
def proxies_and_views(x):
    table = {"b": 2, "a": 1}
    proxy, keys = types.MappingProxyType(table), table.keys()
    table["c"] = 3
    try:
        proxy["d"] = 4
    except TypeError as e:
        text = str(e)

    class Owner:
        scale = 2.0

    owner = Owner()
    ref, weak = weakref.ref(owner), weakref.proxy(owner)
    return x * weak.scale, list(keys), proxy["c"], keys & {"a", "z"}, text, ref() is owner, dict(ChainMap({}, table))


@program("3", "3")
def locks_and_locals(x):
    lock, local, once = threading.RLock(), threading.local(), threading.Event()
    local.depth = 1
    with lock:
        local.depth += 1
        once.set()
    return x * local.depth, once.is_set(), threading.current_thread().name == threading.main_thread().name


@program("8", "8")
def itertools_pipeline(x):
    pairs = itertools.pairwise(x.split(2))
    sums = list(itertools.accumulate((a - b for a, b in pairs), operator.add, initial=x[:2]))
    groups = {k: len(list(g)) for k, g in itertools.groupby("aabbbc")}
    head, tail = itertools.tee(itertools.chain.from_iterable(([1, 2], [3])))
    next(tail)
    grid = list(itertools.islice(itertools.product("ab", range(2)), 1, 3))
    cycle = [c for c, _ in zip(itertools.cycle("xy"), range(3))]
    drop = list(itertools.dropwhile(lambda v: v < 3, [1, 5, 2]))
    kept = list(itertools.compress("abc", [1, 0, 1]))
    filled = list(itertools.zip_longest([1], [2, 3], fillvalue=0))
    rest = [sum(head), list(tail), list(itertools.repeat(4, 2)), list(itertools.filterfalse(None, [0, 1]))]
    return torch.stack(sums), groups, grid, cycle, drop, kept, filled, rest, list(map(operator.add, [1], [2]))


@made("3", "3", "3")
def own_containers():
    class History(UserList):
        def append(self, item):
            super().append(item)
            del self.data[:-2]

    class Frozen(tuple):
        __slots__ = ()

        def __new__(cls, *items):
            return super().__new__(cls, items)

        def __add__(self, other):
            return Frozen(*self, *other)

    class Lower(dict):
        def __missing__(self, key):
            return self[key.lower()] if key != key.lower() else 0.5

        def __setitem__(self, key, value):
            super().__setitem__(key.lower(), value)

    class Window(deque):
        @property
        def mean(self):
            return sum(self) / len(self)

    history, window = History(), Window(maxlen=2)

    def step(x):
        history.append(x.sum())
        window.append(len(history))
        table = Lower(a=1)
        table["B"] = 2
        joined = Frozen(1) + Frozen(2, 3)
        return x * table["A"] * table["zz"] + history[-1], len(history), window.mean, joined[1:], sorted(table)

    return step


class Quantity:
    __array_priority__ = 1000

    def __init__(self, value, unit="m"):
        self.value, self.unit = value, unit

    def __mul__(self, other):
        return Quantity(self.value * getattr(other, "value", other), self.unit)

    __rmul__ = __mul__

    def __matmul__(self, other):
        return Quantity(self.value @ other.value)

    def __truediv__(self, other):
        return NotImplemented if isinstance(other, str) else Quantity(self.value / other)

    def __rtruediv__(self, other):
        return Quantity(other / self.value, f"1/{self.unit}")

    def __iadd__(self, other):
        self.value = self.value + other.value
        return self

    def __getitem__(self, key):
        return Quantity(self.value[key], self.unit)

    def __iter__(self):
        return (Quantity(v) for v in self.value)

    def __float__(self):
        return 2.0

    def __index__(self):
        return 1

    def __format__(self, spec):
        return f"<{self.unit}{spec}>"

    def __divmod__(self, other):
        return other, self.unit

    def __contains__(self, item):
        return item == self.unit

    def __neg__(self):
        return self * -1

    def __call__(self, fn, *args):
        return Quantity(fn(self.value, *args))


@program("3", "3")
def quantities(x):
    q = Quantity(x)
    r = -(2 * q * Quantity(x)) / 2
    r += 1 / Quantity(x.abs() + 1)
    try:
        q / "text"
    except TypeError as e:
        text = str(e)
    dot = (q @ q).value
    first, *_ = q(torch.exp)
    return r.value, dot, first.value, f"{q:>3}", divmod(q, 2), "m" in q, [5, 6][q], float(q), text, math.floor(2.5)
