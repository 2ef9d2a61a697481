"""Operators, builtins and protocols on objects; iterators and bound methods from outside."""

from __future__ import annotations

import abc
import collections
import math
import types
import typing

from captured import ramp

from programs import program
from programs.objects import Node
from tracegraph.autograd.grad_mode import is_grad_enabled, set_grad_enabled


@program()
def ifelse(x):
    return ("pos" if x.shape[0] > 1 else "neg", x if 0 else x * 2)


@program()
def bool_ops(x):
    return (0 or [] or "z", 1 and x, not [], None is None, 3 if () else 4)


@program()
def compare(x):
    return ([1, 2] == [1, 2], (1, "a") < (1, "b"), {1: 2} == {1: 2}, [1] != [2], 1 == 1.0, None is not x, x)


@program()
def int_float(x):
    return (int(3.7), float("2.5"), round(2.567, 1), divmod(7, 2), abs(-3), pow(2, 3), bool([]), complex(1, 2), x)


@program()
def math_(x):
    return (math.floor(2.5), math.inf, math.isnan(math.nan), math.log(1.0), x * math.exp(0.0))


@program()
def copy(x):
    l = [1, [x]]
    m = copy.copy(l) if False else list(l)
    m[1].append(2)
    return (l, m)


@program()
def vars_(x):
    n = Node(x)
    n.__dict__["extra"] = 4
    return (sorted(vars(n)), n.extra, n.__dict__["v"])


@program(lambda: (ramp(), Node(2)))
def vars_out(x, n):
    n.__dict__["extra"] = 4
    vars(n)["v"] = x
    return (sorted(n.__dict__), n.extra, n.__dict__.get("zz", 1), "v" in n.__dict__, {**n.__dict__}["extra"])


@program()
def getattr_default(x):
    return (getattr(x, "nonexist", 5), getattr(Node(1), "v"), x)


@program()
def setgrad(x):
    set_grad_enabled(False)
    a = is_grad_enabled()
    set_grad_enabled(True)
    with set_grad_enabled(False):
        b = is_grad_enabled()
    return (a, b, is_grad_enabled(), x)


class Abs(abc.ABC):
    @abc.abstractmethod
    def f(self, x): ...

    def g(self, x):
        return self.f(x) + 1


class Conc(Abs):
    def f(self, x):
        return x * 2


@program()
def abc_(x):
    return (Conc().g(x), isinstance(Conc(), Abs), isinstance([], collections.abc.Sequence))


class Meta(type):
    def __call__(cls, *a):
        o = super().__call__(*a)
        o.tag = 1
        return o


class WithMeta(metaclass=Meta):
    def __init__(self, v):
        self.v = v


@program()
def meta(x):
    return WithMeta(x).tag


class ListSub(list):
    def total(self):
        return sum(self)


class DictSub(dict):
    def __getattr__(self, k):
        return self[k]


@program()
def listsub(x):
    l = ListSub([1, 2])
    l.append(3)
    return (l.total(), len(l), l[0], [i for i in l], x)


@program()
def dictsub(x):
    d = DictSub(a=x)
    d["b"] = 2
    return (d.a * d.b, len(d), list(d.items())[1], "a" in d)


@program(lambda: (ramp(), DictSub(a=2)))
def dictsub_in(x, d):
    return (x * d.a, d["a"], len(d))


@program()
def iter_proto(x):

    class It:
        pass

    return x


class Count3:
    def __init__(self):
        self.i = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.i += 1
        if self.i > 3:
            raise StopIteration
        return self.i


@program()
def user_iter(x):
    return ([x * i for i in Count3()], sum(Count3()), list(zip(Count3(), "ab")), max(Count3()))


@program(lambda: (ramp(), Count3()))
def user_iter_in(x, c):
    a = next(c)
    return ([a] + [i for i in c], x)


@program()
def aug(x):
    l = [1]
    m = l
    l += [2]
    t = (1,)
    t += (2,)
    d = {"a": 1}
    d |= {"b": 2}
    s = "a"
    s += "b"
    return (m, t, d, s, x)


@program()
def chain_cmp_side(x):
    log = []

    def f(v):
        log.append(v)
        return v

    return (f(1) < f(2) < f(0), log, x)


@program()
def global_fn_attr(x):
    return fa.tag * x


def fa():
    pass


fa.tag = 4


@program(lambda: (ramp(), (i for i in range(3))), breaks=("opaque-iterator",))
def gen_arg(x, g):
    return [x * i for i in g]


@program(lambda: (ramp(), iter([1, 2, 3])), breaks=("opaque-iterator",))
def iter_arg(x, it):
    a = next(it)
    return (a, list(it), x)


@program(lambda: (ramp(), iter([1, 2, 3])), breaks=("opaque-iterator",))
def zip_arg(x, it):
    return (list(zip(it, [1])), next(it), x)


@program(lambda: (ramp(), [1].append), lambda: (ramp(), "ab".upper), breaks=("native-call",))
def bound(x, f):
    try:
        return (f(), x)
    except TypeError as e:
        return (f(3), str(e))


@program(lambda: (ramp(), Node(3).__init__), lambda: (ramp(), ramp().exp))
def boundm(x, f):
    return (f.__self__, x)


@program()
def type_call(x):
    return (type(x).__name__, type(3)(4.5), [].__class__([1]), x.__class__.__name__)


@program()
def id_(x):
    return (id(x) == id(x), x)


@program(lambda: (ramp(),))
def unhashable(x):
    try:
        return {[]: 1}
    except TypeError as e:
        return (str(e), x)


@program()
def format_obj(x):

    class Plain:
        pass

    return x


class Fmt:
    def __str__(self):
        return "S"

    def __repr__(self):
        return "R"

    def __format__(self, s):
        return "F" + s


@program()
def fmt(x):
    f = Fmt()
    return (f"{f}", f"{f!r}", f"{f!s:>3}", f"{f:zz}", str(f), repr(f), x)


class Cmp:
    def __init__(self, v):
        self.v = v

    def __lt__(self, o):
        return self.v < o.v

    def __eq__(self, o):
        return isinstance(o, Cmp) and self.v == o.v

    def __hash__(self):
        return hash(self.v)

    def __contains__(self, o):
        return True

    def __matmul__(self, o):
        return "mm"

    def __rmul__(self, o):
        return "rmul"

    def __neg__(self):
        return Cmp(-self.v)

    def __abs__(self):
        return 5

    def __index__(self):
        return 1

    def __iadd__(self, o):
        self.v += o
        return self

    def __setitem__(self, k, v):
        self.k = (k, v)

    def __getitem__(self, k):
        return k

    def __delitem__(self, k):
        self.d = k

    def __enter__(self):
        return self

    def __exit__(self, *a):
        return False


@program()
def cmp(x):
    a, b = (Cmp(1), Cmp(2))
    a += 3
    a[1] = 2
    del a[5]
    return (
        a.v,
        a.k,
        a.d,
        a < b,
        a > b,
        a == Cmp(4),
        a != b,
        (-a).v,
        a @ b,
        3 * a,
        a in [1, Cmp(4)],
        a[1:2],
        [a, b].index(Cmp(2)) if False else 0,
        x,
    )


@program()
def sort_obj(x):
    return ([c.v for c in sorted([Cmp(3), Cmp(1)], key=lambda c: c.v)], min(Cmp(3), Cmp(1)).v, x)


@program()
def dictkey_obj(x):
    d = {Cmp(1): x}
    return d[Cmp(1)]


@program()
def walrus_comp(x):
    return ([y for i in range(3) if (y := (i * 2)) > 0], y, x)


@program()
def lambda_default(x):
    return ([(lambda a=i: a)() for i in range(3)], x)


@program()
def exec_order(x):
    log = []

    def f(n):
        log.append(n)
        return n

    {f(1): f(2), f(3): f(4)}
    [f(5), f(6)]
    f(7) + f(8)
    return (log, x)


@program()
def type_hints(x):
    a: int = 3

    def g(v: typing.Optional[int] = None) -> list[int]:
        return [v]

    return (g(a), x)


@program()
def deep_rec(x):

    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    return fib(7) * x


@program()
def deeper(x):

    def down(n):
        return 0 if n == 0 else 1 + down(n - 1)

    return (down(100), x)


@program(breaks=("side-effect",))
def namespace(x):
    s = types.SimpleNamespace(a=1, t=x)
    s.b = s.a + 1
    print("n", s.b)
    s.c = s.t * s.b
    return s


@program()
def counter_obj(x):
    return (collections.Counter(a=1)["a"], x)
