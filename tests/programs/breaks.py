"""Graph breaks: what cannot be captured, in every position a statement can stand in."""

from __future__ import annotations

from captured import ramp

from programs import program
from programs.classes import Vec
from programs.unwinding import CM, scaled
from tracegraph.autograd.grad_mode import is_grad_enabled, no_grad


@program(breaks=("side-effect",))
def print_(x):
    y = x * 2
    print("hi", y.shape)
    return y + 1


@program(breaks=("data-dependent",))
def item(x):
    return x * x.sum().item() + 1


@program(breaks=("data-dependent",))
def if_(x):
    y = x * 2
    if y.sum() > 0:
        return y + 1
    return y - 1


@program(breaks=("data-dependent",))
def if_expr_(x):
    return x * 2 if x.sum() > 0 and x.mean() < 100 else x - 1


@program(breaks=("data-dependent",))
def while_dd(x):
    while x.sum() < 200:
        x = x + 10
    return x


@program(breaks=("side-effect", "opaque-iterator"))
def loop_print(x):
    acc = []
    for i in range(4):
        x = x + i
        print("it", i)
        acc.append(x)
    return (acc, i)


def noisy(x):
    print("in helper")
    return x * 3


@program(breaks=("side-effect",))
def nested(x):
    return (noisy(x + 1) + noisy(x)) * 2


@program(breaks=("side-effect",))
def nested2(x):

    def g(y):
        a = y + 1
        b = noisy(a)
        return b * 2

    return g(x) + g(x * 2)


@program(breaks=("side-effect",))
def in_nograd(x):
    with no_grad():
        y = x * 2
        print("z", is_grad_enabled())
        w = y + 1
    return (y + w, is_grad_enabled())


@program(breaks=("side-effect",))
def in_cm(x):
    c = CM()
    with c as v:
        y = x * v
        print("mid")
        y = y + 1
    return (y, c.log)


@program(breaks=("side-effect", "opaque-iterator"))
def in_cm2(x):
    with scaled(3) as k:
        print("k", k)
        y = x * k
    return y


@program(breaks=("side-effect",))
def try_body(x):
    try:
        y = x * 2
        print("a")
        z = y + 1
        return z
    except ValueError:
        return x


@program(breaks=("side-effect", "exception"))
def try_raises(x):

    def bad():
        print("bad")
        raise ValueError("boom")

    try:
        y = x * 2
        bad()
        z = y + 1
    except ValueError as e:
        print("caught", e)
        return x * 5
    finally:
        print("fin")
    return z


@program(breaks=("side-effect",))
def in_handler(x):
    y = x * 2
    try:
        raise ValueError("q")
    except ValueError as e:
        print("handling", e)
        y = y * 3
    return y + 1


@program(breaks=("side-effect",))
def finally_(x):
    try:
        y = x * 2
    finally:
        print("finally")
    return y


@program(breaks=("side-effect", "opaque-iterator"))
def listcomp(x):
    return [x * i for i in range(3) if print(i) is None]


@program(breaks=("side-effect", "opaque-iterator"))
def genexp(x):
    return list((print(i), x * i)[1] for i in range(3))


@program(breaks=("side-effect", "opaque-iterator"))
def gen_live(x):

    def g():
        for i in range(3):
            yield (x * i)

    it = g()
    a = next(it)
    print("pause")
    return a + next(it)


@program(breaks=("side-effect", "opaque-iterator"))
def zip_live(x):
    out = []
    for i, (a, b) in enumerate(zip([x, x + 1], [3, 4])):
        print(i, b)
        out.append(a * b)
    return out


@program(breaks=("side-effect", "opaque-iterator"))
def dict_live(x):
    d = {"a": x, "b": x * 2}
    out = []
    for k, v in d.items():
        print(k)
        out.append(v + 1)
    return out


@program(breaks=("side-effect",))
def closure_cell(x):
    n = 0

    def inc(y):
        nonlocal n
        n += 1
        return y + n

    a = inc(x)
    print("n", n)
    b = inc(a)
    print("n", n)
    return (b, n)


@program(breaks=("side-effect",))
def obj_live(x):
    v = Vec(x)
    print("q")
    v.v = v.v + 1
    print("r")
    return v.v


@program(breaks=("side-effect",))
def mut_break(x):
    l = [x]
    print(len(l))
    l.append(x * 2)
    print(len(l))
    l.append(l)
    return (l[0], l[1], l[2] is l)


@program(lambda: (ramp(), [1]), breaks=("side-effect",))
def arglist(x, l):
    l.append(2)
    print(l)
    l.append(3)
    return x * len(l)


@program(breaks=("data-dependent",))
def item_chain(x):
    a = x.sum().item()
    b = (x * 2).sum().item()
    return x * (a + b)


@program(breaks=("data-dependent",))
def float_(x):
    return (float(x.sum()) + 1, int(x[0, 0]), bool(x[0, 0] > 0))


@program(breaks=("data-dependent",))
def str_tensor(x):
    return (str(x * 2), f"{x + 1}")


@program(breaks=("data-dependent",))
def numpy(x):
    return (x * 2).numpy().sum()


@program(breaks=("side-effect",))
def unsupported_fn(x):
    import time

    t = time.time() > 0
    return (x * 2, t)
