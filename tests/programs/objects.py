"""Objects: classes with special methods, descriptors, containers from outside, iterators, exceptions."""

from __future__ import annotations

import abc
import collections
import dataclasses
import enum
import functools
import math
import operator
import types
import typing

from captured import ramp

from programs import program
from tracegraph.autograd.grad_mode import is_grad_enabled, set_grad_enabled


class Node:
    def __init__(self, v):
        self.v = v
        self.next = None


@program()
def linked(x):
    a = Node(x)
    b = Node(x * 2)
    a.next = b
    b.next = a
    return (a.next.next.v, a.next.v)


@program()
def cycle_ret(x):
    a = Node(1)
    a.next = a
    return a.next is a


@program()
def self_list(x):
    l = [x]
    l.append(l)
    return l[1][1][0]


@program(lambda: (ramp(), types.SimpleNamespace(a=1, b=[2])))
def swap_attrs(x, s):
    s.a, s.b = (s.b, s.a)
    s.b, s.c = (s.a, x)
    return s.a


class P:
    def __init__(self):
        self._v = 3

    @property
    def v(self):
        return self._v

    @v.setter
    def v(self, n):
        self._v = n * 2

    @v.deleter
    def v(self):
        del self._v


@program(lambda: (ramp(), P()))
def prop_set(x, p):
    p.v = 5
    return p.v * x


class Desc:
    def __set_name__(self, o, n):
        self.n = "_" + n

    def __get__(self, i, o=None):
        return self if i is None else getattr(i, self.n, 0) + 1

    def __set__(self, i, v):
        setattr(i, self.n, v * 3)


class UseDesc:
    d = Desc()


@program(lambda: (ramp(), UseDesc()))
def desc(x, o):
    o.d = 4
    return (o.d, x * o.d)


class SA:
    def __setattr__(self, k, v):
        object.__setattr__(self, k, (v, k))

    def __getattr__(self, k):
        return "dyn_" + k


@program(lambda: (ramp(), SA()))
def setattr_custom(x, o):
    o.q = 1
    return (o.q, o.zz)


@program()
def local_class_inst(x):
    s = SA()
    s.q = x
    return (s.q[1], s.w)


class Ctx:
    def __init__(self, l):
        self.l = l

    def __enter__(self):
        self.l.append("e")
        return self

    def __exit__(self, t, v, tb):
        self.l.append(("x", t is ValueError))
        return t is ValueError


@program(lambda: (ramp(), Ctx([])))
def ctx_outside(x, c):
    with c:
        x = x * 2
        if len(c.l) == 1:
            raise ValueError
        x = x * 3
    return x


@program()
def nested_exc(x):
    out = []
    try:
        try:
            [1][1]
        finally:
            out.append("f1")
    except IndexError as e:
        out.append(str(e))
    for i in range(3):
        try:
            if i == 1:
                continue
            if i == 2:
                break
            out.append(i)
        finally:
            out.append("fin%d" % i)
    return (out, x)


@program()
def return_in_finally(x):

    def f():
        try:
            raise KeyError
        finally:
            return 5

    return (f(), x)


@program()
def exc_else(x):
    try:
        v = int("12")
    except ValueError:
        v = 0
    else:
        v += 1
    return v * x


@program()
def custom_exc(x):

    class E(Exception):
        pass

    return x


class MyErr(Exception):
    def __init__(self, code, *a):
        super().__init__(code, *a)
        self.code = code


@program()
def custom_exc2(x):
    try:
        raise MyErr(3, "m")
    except MyErr as e:
        return (x * e.code, e.args)


@program()
def exc_from_op(x):
    try:
        return x @ x
    except Exception as e:
        return (type(e).__name__, isinstance(e, RuntimeError), x)


@program()
def stop_iter(x):
    it = iter([1, 2])
    out = []
    while True:
        try:
            out.append(next(it))
        except StopIteration:
            break
    return (out, next(it, "dflt"), x)


@program()
def gen_close(x):
    log = []

    def g():
        try:
            yield 1
            yield 2
        finally:
            log.append("closed")

    it = g()
    a = next(it)
    it.close()
    return (a, log, x)


@program()
def gen_throw(x):

    def g():
        try:
            yield 1
        except ValueError:
            yield "caught"

    it = g()
    next(it)
    return (it.throw(ValueError("q")), x)


@program()
def gen_ret(x):

    def g():
        yield x
        return 5

    it = g()
    next(it)
    try:
        next(it)
    except StopIteration as s:
        return s.value


@program()
def zip_gen(x):

    def g():
        for i in range(3):
            yield i

    return ([a * x for a, b in zip(g(), [1, 2])], list(zip(*[(1, 2), (3, 4)])))


@program()
def dict_order(x):
    d = {"b": 1, "a": 2}
    d["b"] = 3
    d.pop("a")
    d["a"] = x
    return (list(d), {**d, "b": 0}, d | {"z": 1})


@program(lambda: (ramp(), collections.OrderedDict(a=1, b=2)), lambda: (ramp(), {"x": [1, {"y": 2}]}))
def dict_in(x, d):
    d["n"] = x
    for k in list(d):
        if k == "a":
            d.pop(k)
    return ({k: v for k, v in d.items()}, len(d))


@program(lambda: (ramp(), collections.defaultdict(list, a=[1])))
def dd_in(x, d):
    d["q"].append(x)
    d["a"].append(2)
    return (d["zz"], len(d))


@program(lambda: (ramp(), collections.deque([1, 2], maxlen=2)))
def deque_in(x, d):
    d.append(x)
    return (d[0], list(d))


@program(lambda: (ramp(), {1, "a"}))
def set_in(x, s):
    s |= {3}
    return (sorted(map(str, s)), 3 in s, s & {1}, s - {1})


@program(lambda: (ramp(), {"l": [[1], [2]]}))
def nested_mut(x, d):
    d["l"][0].append(x)
    d["l"].pop()
    return d


@program(lambda: (lambda l: (ramp(), l, {"k": l}))([1]))
def alias_mut(x, l, d):
    l.append(2)
    return (d["k"], d["k"] is l)


@program(lambda: (ramp(), (1, [2], {"a": ramp()})))
def tuple_in(x, t):
    t[1].append(5)
    a, b, c = t
    return (t, c["a"] + a)


NT = collections.namedtuple("NT", "u v")


@program(lambda: (ramp(), NT(ramp(), 2)))
def nt_in(x, t):
    return (t.u * t.v, t, t._asdict(), NT(*t), t == t)


@dataclasses.dataclass(frozen=True)
class FD:
    a: int = 1
    b: tuple = (1, 2)


@dataclasses.dataclass(order=True)
class OD:
    k: int
    x: object = dataclasses.field(default=None, compare=False)


@program(lambda: (ramp(), FD(3), OD(2)))
def dc_in(x, f, o):
    return (
        x * f.a,
        f.b,
        o.k,
        o == OD(2),
        o < OD(3),
        dataclasses.asdict(f) if False else f.a,
        dataclasses.replace(f, a=9).a,
    )


class IE(enum.IntEnum):
    A = 1
    B = 2


class FL(enum.Flag):
    R = 1
    W = 2


@program()
def int_enum(x):
    return (x * IE.B, IE.A < IE.B, IE.A + 1, IE(2) is IE.B, [e.name for e in IE])


@program()
def functools_(x):
    f = functools.partial(lambda a, b, c=0: a * b + c, 2)
    return (f(3), f(x, c=1), functools.reduce(operator.add, [1, 2, 3]), functools.reduce(lambda a, b: a * b, [x, x]))


@program()
def operator_(x):
    return (
        operator.add(x, 1),
        operator.itemgetter(1)([1, 2]),
        operator.mul(2, 3),
        operator.attrgetter("ndim")(x) if False else 0,
    )


@program()
def sorted_key(x):
    l = [(2, "b"), (1, "c"), (3, "a")]
    l.sort(key=lambda t: t[1])
    m = sorted(l, key=operator.itemgetter(0), reverse=True)
    return (l, m, x)


@program()
def minmax_key(x):
    return (min([3, -4], key=abs), max("abc", "z", key=len), min([], default=7), sum([[1], [2]], []), x)


@program()
def str_stuff(x):
    return (
        "a".join((str(i) for i in range(3))),
        f"{3.14159:.2f}",
        f"{'a':>3}{5:03d}",
        "%s %r" % ("q", "z"),
        "x,y".split(",")[0],
        "abc"[::-1],
        "a" in "cat",
        ord("a"),
        chr(98),
        x,
    )


@program()
def star_args(x):

    def f(*a, k=1, **kw):
        return (len(a), k, sorted(kw))

    return (f(*[1, 2], *(3,), k=5, **{"z": 1}), f(**dict(a=1)), x)


@program()
def kwonly_missing(x):

    def f(a, *, b):
        return a

    try:
        return f(x)
    except TypeError as e:
        return str(e)


@program()
def too_many(x):

    def f(a):
        return a

    try:
        return f(x, x)
    except TypeError as e:
        return str(e)


@program()
def posonly(x):

    def f(a, /, b, *, c):
        return (a, b, c)

    return (f(1, 2, c=x), f(1, b=3, c=4))


@program()
def nonlocal_(x):
    t = x
    n = 0

    def add(k):
        nonlocal t, n
        t = t + k
        n += 1

        def inner():
            nonlocal n
            n += 10

        inner()

    for k in (1, 2):
        add(k)
    return (t, n)


@program()
def closure_list(x):
    fs = []
    for i in range(3):

        def f(y, i=i):
            return y * i

        fs.append(f)
    return [f(x) for f in fs]


def make_counter():
    c = 0

    def count():
        nonlocal c
        c += 1
        return c

    return count


@program(lambda: (ramp(), make_counter()))
def outer_closure(x, f):
    return (f(), f(), x * f())


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
