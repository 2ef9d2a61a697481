"""The rest of Python around tensors."""

import functools
import os
import types

import torch
import torch.nn as nn

from graph_programs import program


@program("4x8")
def partials_and_lambdas(x):
    f = functools.partial(torch.sum, dim=1, keepdim=True)
    g = functools.reduce(lambda a, b: lambda x: b(a(x)), [torch.tanh, torch.exp, f])
    compose = lambda *fs: functools.reduce(lambda a, b: lambda x: a(b(x)), fs)
    return g(x), compose(torch.abs, torch.neg)(x), list(map(lambda r: r.sum(), x))


@program("4x8")
def closures_and_nonlocals(x):
    count, kept = 0, []

    def visit(v):
        nonlocal count
        count += 1
        kept.append(v)
        return v * count

    for i in range(3):
        x = visit(x)
    return x, count, len(kept)


@program("4x8")
def generator_pipeline(x):
    def rows(x):
        for i in range(x.shape[0]):
            yield i, x[i]

    def scaled(it, s):
        for i, r in it:
            yield i, r * s

    return torch.stack([r for i, r in scaled(rows(x), 2.0) if i % 2 == 0]), sum(r.sum() for _, r in rows(x))


@program("4x8")
def string_work(x):
    names = [f"layer.{i}.weight" for i in range(3)]
    table = {n.split(".")[1]: n.replace("weight", "bias").upper() for n in names if n.startswith("layer")}
    return x * len(table), ", ".join(sorted(table)), "%s-%d" % ("a", 3), "{:>5.2f}|{x}".format(1.5, x="y")


@program("4x8")
def environment(x):
    if os.environ.get("NO_SUCH_VARIABLE", "0") == "1":
        return x
    return x * 2


@program("4x8")
def nested_functions_with_defaults(x, fns=(torch.sin, torch.cos), table={"k": 2}):
    return sum(f(x) for f in fns) * table["k"]


@program("4x8")
def walrus_and_chains(x):
    if (n := x.shape[0]) > 2 and 0 < n < 10:
        x = x * n
    vals = [y for i in range(3) if (y := i * 2) > 1]
    return x, vals


@program("4x8")
def sets_and_membership(x):
    kept = {1, 3} | set(range(2))
    return x[sorted(kept)], 3 in kept, frozenset([1]) <= kept


@program("4x8")
def exceptions_as_control(x):
    class Stop(Exception):
        pass

    def body(i, x):
        if i == 2:
            raise Stop(i)
        return x * 2

    i = 0
    try:
        while True:
            x = body(i, x)
            i += 1
    except Stop as e:
        return x, e.args[0]


class Vec:
    def __init__(self, x):
        self.x = x

    def __add__(self, o):
        return Vec(self.x + (o.x if isinstance(o, Vec) else o))

    __radd__ = __add__

    def __matmul__(self, o):
        return (self.x * o.x).sum()

    def __getitem__(self, i):
        return Vec(self.x[i])

    def __eq__(self, o):
        return isinstance(o, Vec) and self.x.shape == o.x.shape

    def __bool__(self):
        return self.x.shape[0] > 0

    def __repr__(self):
        return f"Vec{tuple(self.x.shape)}"

    def __len__(self):
        return len(self.x)

    def __contains__(self, i):
        return i < len(self)

    def __call__(self, f):
        return Vec(f(self.x))


@program("4x8")
def user_operators(x):
    v = Vec(x)
    w = v + 1 + v + (1 + v)
    return w.x, v @ w, v[0].x, v == w, bool(v), repr(v), 2 in v, v(torch.exp).x


@program("4x8")
def lookup_tables_of_modules(x):
    mods = {k: getattr(nn, k)() for k in ("ReLU", "Tanh", "Sigmoid")}
    return {k.lower(): m(x) for k, m in mods.items()}


@program("4x8")
def simple_namespace(x):
    ns = types.SimpleNamespace(a=x, n=2)
    ns.b = ns.a * ns.n
    return vars(ns)["b"], ns.n


@program("4x8 4x8")
def zip_strict_and_star(x, y):
    pairs = list(zip(x, y, strict=True))
    a, b = zip(*pairs)
    return torch.stack(a) + torch.stack(b), len(pairs), *x.shape


@program("4x8")
def sorted_by_key(x):
    items = sorted([("b", 2), ("a", 3)], key=lambda kv: -kv[1])
    return [x * v for _, v in items], max(items, key=lambda kv: kv[1])[0], any(v > 2 for _, v in items)


@program("4x8")
def tree_map(x):
    from torch.utils import _pytree as pytree

    return pytree.tree_map(lambda t: t * 2, {"a": x, "b": [x, x]})


@program("4x8")
def property_setter(x):
    class Box:
        def __init__(self, v):
            self._v = v

        @property
        def v(self):
            return self._v

        @v.setter
        def v(self, value):
            self._v = value * 2

    b = Box(x)
    b.v = x + 1
    b.v += 1
    return b.v


@program("4x8")
def cached_property(x):
    class Lazy:
        def __init__(self, x):
            self.x = x

        @functools.cached_property
        def norm(self):
            return self.x.norm()

    l = Lazy(x)
    return l.norm + l.norm, "norm" in vars(l)
