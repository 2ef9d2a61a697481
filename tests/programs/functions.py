"""Functions: arguments, closures, generators, decorators, recursion, global names."""

from __future__ import annotations

import functools

from programs import program
from programs.classes import Vec


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
def partial(x):
    return functools.partial(helper, k=5)(x)


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
def recursion(x, n=5):
    return x if n == 0 else recursion(x, n - 1) * 2


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
