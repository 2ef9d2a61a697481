"""The language: statements, comprehensions, builtins and containers that end up in one graph."""

from __future__ import annotations

import collections
import functools
import itertools
import math

from captured import ramp

from programs import program


@program()
def listcomp(x):
    return [x * i for i in range(3) if i != 1]


@program()
def dictcomp(x):
    return {str(i): x + i for i in range(3)}


@program()
def setcomp(x):
    return {i % 2 for i in range(5)}


@program()
def genexp(x):
    return sum(x * i for i in range(4))


@program()
def nested_comp(x):
    return [[x + i * j for j in range(2)] for i in range(2)]


@program()
def comp_closure(x):
    return [f() for f in [lambda i=i: x + i for i in range(3)]]


@program()
def comp_closure2(x):
    return [f() for f in [lambda: x + i for i in range(3)]]


@program()
def loop(x):
    for i in range(10):
        if i == 2:
            continue
        x = x + i
        if i > 4:
            break
    else:
        x = x * 100
    return x


@program()
def while_(x):
    i = 0
    while i < 3:
        x = x * 2
        i += 1
    return (x, i)


@program()
def unpack(x):
    a, b = (x, x + 1)
    a, b = (b, a)
    c, *d, e = [a, b, a, b]
    (f, g), h = ((c, e), d)
    return (f - g, h)


@program()
def star(x):
    l = [x, x * 2]
    return ((*l, x), [*l, *l], {**{"a": x}, "b": x})


@program()
def fstring(x):
    n = 3
    return (f"{n:>5} {n!r} {x.shape} x.ndim={x.ndim!r}", x)


@program()
def format_(x):
    return ("a{}b{}".format(1, "z"), "%d-%s" % (3, "q"), str(x.shape), repr([1, "a"]))


@program()
def zip_(x):
    return (
        [a * b for a, b in zip([x, x + 1], [1, 2])],
        list(enumerate([x])),
        list(map(lambda t: t * 2, [x])),
        list(filter(None, [0, 1])),
    )


@program()
def sorted_(x):
    return (sorted([3, 1, 2]), sorted([x, x + 1], key=lambda t: 1), sorted("bca", reverse=True))


@program()
def minmax(x):
    return (max(1, 2), min([3, 1]), max([1, 2, 3], key=lambda i: -i), any([0, 1]), all([1, 0]))


@program()
def reduce(x):
    return functools.reduce(lambda a, b: a + b, [x, x, x])


@program()
def itertools_(x):
    return (list(itertools.chain([x], [1])), list(itertools.product([1, 2], [3])))


@program()
def math_(x):
    return x * math.sqrt(4.0) + math.pi


@program()
def dict_(x):
    d = {"a": x}
    d["b"] = x + 1
    d.update(c=x)
    d.setdefault("e", []).append(x)
    del d["a"]
    return (d, list(d.items())[0], d.get("zz", 3), "b" in d, len(d))


@program()
def od(x):
    d = collections.OrderedDict(a=x)
    d["b"] = 2
    d.move_to_end("a")
    dd = collections.defaultdict(list)
    dd["k"].append(x)
    q = collections.deque([1, x], maxlen=2)
    q.append(x * 2)
    return (d, dict(dd), q)


@program()
def walrus(x):
    if (n := len([1, 2])) > 1:
        return x * n
    return x


@program()
def slices_(x):
    l = [1, 2, 3, 4]
    l[1:2] = [9, 9]
    del l[0]
    return (l[1:], l[::-1], x[0], x[:, 1], x[..., None].shape, x[0:1, 1:])


@program()
def shape(x):
    return (x.shape, x.size(0), x.ndim, x.numel(), len(x), x.dtype)


@program()
def iter_tensor(x):
    return [r * 2 for r in x]


@program()
def ternary(x):
    return x if x.ndim == 2 else x * 2


@program()
def chained(x):
    return (1 < x.ndim < 5, (x.ndim == 2 and x.shape[0] == 2) or False)


@program()
def inplace(x):
    y = x * 1
    y += 1
    y *= 2
    return y


@program()
def inplace_arg(x):
    x += 1
    return x * 2


@program()
def alias(x):
    a = [x]
    b = a
    b.append(x + 1)
    return (a, b, a is b)


@program(lambda: (ramp(), [1, 2]), lambda: (ramp(), [3]))
def mutate_list(x, l):
    l.append(x * 2)
    l[0] = 5
    return l


@program(lambda: (ramp(), {"a": 1, "b": 2}))
def mutate_dict(x, d):
    d["a"] = x
    del d["b"]
    d["c"] = [x]
    return d


@program(lambda: (ramp(), {1, 2}))
def mutate_set(x, s):
    s.add(5)
    s.discard(1)
    return (len(s), 5 in s)


@program()
def str_methods_(x):
    return (["a", "b"], "x".join(["a", "b"]), "abc".upper().startswith("A"), x)


@program()
def int_ops(x):
    return (7 // 2, 7 % 3, -7 >> 1, 2**5, ~3, 5 & 6, x)


@program()
def tuple_ops(x):
    t = (1, 2) + (3,)
    return (t * 2, t.index(3), 2 in t, t == (1, 2, 3), x)


@program()
def none(x):
    y = None
    if y is None:
        y = x
    return y


@program()
def del_(x):
    y = x * 2
    del y
    try:
        return y
    except UnboundLocalError:
        return ("unbound", x)


@program()
def string_iter(x):
    return ([c for c in "abc"], list({"a": 1}), x)


@program()
def any_gen(x):
    return (any(i > 2 for i in range(5)), all(i < 2 for i in range(5)), x)


@program()
def sum_tensors(x):
    return sum([x, x, x])


@program()
def dict_views(x):
    d = {"a": x, "b": x + 1}
    return ([k for k in d], [v for v in d.values()], {k: v * 2 for k, v in d.items()})


@program()
def reversed_(x):
    return (list(reversed([1, 2, 3])), [i for i in reversed(range(3))], x)


@program()
def counter(x):
    return (collections.Counter("aab").most_common(1), x)
