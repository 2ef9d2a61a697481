"""Objects: classes with special methods, descriptors, containers from outside, iterators, exceptions."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import operator
import types

from captured import ramp

from programs import program


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
