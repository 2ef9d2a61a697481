"""The language: every construct that ends up in one graph."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import functools
import itertools
import math
import typing

from captured import ramp

from programs import program
from tracegraph.autograd.grad_mode import enable_grad, is_grad_enabled, no_grad
from tracegraph.tensor import Tensor


@program()
def simple(x):
    return x * 2 + 1


@program()
def kw(x, *, scale=3):
    return x * scale


@program()
def varargs(x, *rest, **kw):
    return (x, rest, kw)


def helper(x, k=2, *, b=1):
    return x * k + b


@program()
def inline(x):
    return helper(x) + helper(x, 3) + helper(x, b=4) + helper(k=1, x=x)


@program()
def closure(x):
    n = 0

    def inc(y):
        nonlocal n
        n += 1
        return y + n

    return (inc(x) + inc(x), n)


@program()
def lambda_(x):
    return (lambda a, b=2: a * b)(x)


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
def isinstance_(x):
    return (
        isinstance(x, Tensor),
        isinstance(3, (int, str)),
        isinstance(x, (list, dict)),
        type(x) is Tensor,
        issubclass(bool, int),
    )


@program()
def try_(x):
    try:
        y = {}["k"]
    except KeyError:
        y = x * 2
    else:
        y = x
    finally:
        z = x + 1
    return (y, z)


@program()
def try_reraise(x):
    try:
        try:
            raise ValueError("a")
        except ValueError as e:
            raise TypeError("b") from e
    except TypeError as e:
        return (x, str(e), str(e.__cause__), str(e.__context__))


@program()
def finally_return(x):
    try:
        return x * 2
    finally:
        x = x + 100


@program()
def with_(x):
    with no_grad():
        y = x * 2
    return y


class CM:
    def __init__(self):
        self.log = []

    def __enter__(self):
        self.log.append("in")
        return 5

    def __exit__(self, *a):
        self.log.append(a[0] is None)
        return True


@program()
def cm(x):
    c = CM()
    with c as v:
        y = x * v
        raise ValueError
    return (y, c.log)


@contextlib.contextmanager
def scaled(k):
    yield (k * 2)


@program()
def contextmanager(x):
    with scaled(3) as k:
        y = x * k
    return y


def gen(n):
    for i in range(n):
        yield i
    return "done"


@program()
def generator(x):
    out = []
    for v in gen(3):
        out.append(x + v)
    return out


def gen2(n):
    r = yield from gen(n)
    yield r


@program()
def yieldfrom(x):
    return (list(gen2(3)), x)


@program()
def gen_send(x):

    def acc():
        t = 0
        while True:
            v = yield t
            if v is None:
                break
            t = t + v

    g = acc()
    next(g)
    g.send(x)
    return g.send(x)


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
def partial(x):
    return functools.partial(helper, k=5)(x)


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


@dataclasses.dataclass
class DC:
    a: object
    b: int = 3

    def total(self):
        return self.a * self.b


@program()
def dataclass(x):
    d = DC(x)
    return (d.total(), d, dataclasses.replace(d, b=7).total())


NT = collections.namedtuple("NT", "u v")


class NT2(typing.NamedTuple):
    u: object
    v: int = 2


@program()
def namedtuple(x):
    n = NT(x, 2)
    m = NT2(x)
    return (n, n.u * n.v, m.u * m.v, m._replace(v=5), n[0])


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@program()
def enum_(x):
    c = Color.RED
    d = {Color.RED: "r", Color.BLUE: "b"}
    return (x * c.value, c is Color.RED, c == Color.BLUE, Color(2).name, d[c])


class Vec:
    k = 3

    def __init__(self, v):
        self.v = v

    def __add__(self, o):
        return Vec(self.v + (o.v if isinstance(o, Vec) else o))

    def __radd__(self, o):
        return Vec(self.v + o)

    def __mul__(self, o):
        return Vec(self.v * o)

    def __getitem__(self, i):
        return self.v[i]

    def __len__(self):
        return 2

    def __call__(self, y):
        return self.v + y

    def __bool__(self):
        return False

    def __eq__(self, o):
        return True

    def __lt__(self, o):
        return False

    def __contains__(self, o):
        return o == 4

    def __iter__(self):
        return iter([self.v, 1])

    @property
    def double(self):
        return self.v * 2

    @staticmethod
    def sm(q):
        return q + 1

    @classmethod
    def make(cls, q):
        return cls(q * cls.k)

    def __getattr__(self, n):
        if n == "magic":
            return self.v + 42
        raise AttributeError(n)


@program()
def userclass(x):
    a = Vec(x)
    b = a + a
    c = a + 1
    d = 1 + a
    a.extra = 5
    return (
        b.v,
        c.v,
        d.v,
        (a * 2).v,
        a[0],
        len(a),
        a(x),
        bool(a),
        a == 3,
        a.double,
        Vec.sm(x),
        Vec.make(x).v,
        a.magic,
        hasattr(a, "nope"),
        getattr(a, "nope", 7),
        4 in a,
        list(a),
        a.extra,
    )


class Base:
    def f(self, x):
        return x + 1


class Child(Base):
    def f(self, x):
        return super().f(x) * 2

    def g(self, x):
        return super().f(x) * 3


@program()
def super_(x):
    c = Child()
    return (c.f(x), c.g(x))


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a):
        self.a = a


@program()
def slots(x):
    s = Slots(x)
    s.b = s.a * 2
    return s.b


@program()
def match(x):
    out = []
    for v in [1, [1, 2, 3], {"a": 1, "b": 2}, "str", Vec(x), NT(1, 2)]:
        match v:
            case 1:
                out.append("one")
            case [a, *b]:
                out.append((a, b))
            case {"a": q, **r}:
                out.append((q, r))
            case str(s):
                out.append(s)
            case Vec(v=w):
                out.append(w)
            case _:
                out.append("?")
    return out


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
def global_read(x):
    return x * GLOBAL_K


GLOBAL_K = 4


@program()
def global_write(x):
    global GLOBAL_N
    GLOBAL_N = GLOBAL_N + 1
    return (x, GLOBAL_N - GLOBAL_N)


GLOBAL_N = 0


@program()
def assert_(x):
    assert x.ndim == 2, "two"
    return x


@program(breaks=("exception",))
def assert_fail(x):
    assert x.ndim == 3, "three"


@program(breaks=("exception",))
def shape_error(x):
    return x + tensor_like(x)


def tensor_like(x):
    return x[:, :2]


@program()
def recursion(x, n=5):
    return x if n == 0 else recursion(x, n - 1) * 2


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


@program(lambda: (ramp(), Vec(3)))
def mutate_obj(x, o):
    o.v = x * o.v
    o.n = 1
    del o.n
    o.m = [o.v]
    return o.v


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
def getattr_dyn(x):
    return (x.shape, x.exp(), hasattr(x, "nope"))


@program()
def callable_(x):
    return (callable(helper), callable(3), callable(Vec(x)))


@program()
def kwargs_forward(x):

    def inner(*a, **k):
        return helper(*a, **k)

    return inner(x, k=3, b=2)


@program()
def nested_fn_default(x):

    def g(a, b=x * 2, *, c=x):
        return a + b + c

    return g(x)


def deco(f):

    @functools.wraps(f)
    def w(*a, **k):
        return f(*a, **k) + 1

    return w


@deco
def decorated(x):
    return x * 2


@program()
def decorated_call(x):
    return decorated(x)


@program()
def grad_mode(x):
    a = is_grad_enabled()
    with no_grad():
        b = is_grad_enabled()
        with enable_grad():
            c = is_grad_enabled()
    return (a, b, c, x)


@no_grad()
def nog(x):
    return (x * 2, is_grad_enabled())


@program()
def nograd_deco(x):
    return nog(x)


@program()
def import_(x):
    import math as m
    from collections import deque

    return (x * m.floor(2.5), deque([1]))


@program()
def return_fn(x):
    k = 3

    def g(y):
        return y * k

    return g(x)


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


@program(breaks=("native-call", "opaque-iterator", "not-reconstructible"))
def counter(x):
    return (collections.Counter("aab").most_common(1), x)
