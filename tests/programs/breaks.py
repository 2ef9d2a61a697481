"""Graph breaks: what cannot be captured, in every position a statement can stand in."""

from __future__ import annotations

import itertools

from captured import ramp

from programs import program
from programs.classes import Vec
from programs.functions import helper
from programs.unwinding import CM, scaled
from tracegraph.autograd.grad_mode import enable_grad, is_grad_enabled, no_grad


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


@program(breaks=("not-reconstructible", "opaque-iterator", "side-effect"))
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


@program(breaks=("not-reconstructible", "opaque-iterator"))
def genexp(x):
    return list((print(i), x * i)[1] for i in range(3))


@program(breaks=("not-reconstructible", "opaque-iterator", "side-effect"))
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


@program(breaks=("data-dependent", "untracked-attribute", "native-call"))
def numpy(x):
    return (x * 2).numpy().sum()


@program(breaks=("native-call",))
def unsupported_fn(x):
    import time

    t = time.time() > 0
    return (x * 2, t)


@program(breaks=("data-dependent", "side-effect", "opaque-iterator"))
def many(x):
    for i in range(3):
        for j in range(2):
            if x.sum() > 1000:
                break
            x = x * 2
            print(i, j)
    return x


@program(breaks=("side-effect",))
def while_print(x):
    i = 0
    while i < 5:
        print(i)
        x = x + i
        i += 1
    return x


@program(breaks=("side-effect",))
def kwcall(x):
    print("a", "b", sep="-", end="!\n")
    l = [1, 2]
    print(*l, **{"sep": ","})
    return x + 1


@program()
def class_(x):

    class A:
        k = 3

        def f(self, y):
            return y * self.k

    return A().f(x)


@program(breaks=("frame-access",))
def locals_(x):
    y = x * 2
    return (sorted(locals()), y)


@program(breaks=("frame-access",))
def exec_(x):
    n = eval("1 + 2")
    return x * n


@program(breaks=("tensor-attribute",))
def setattr_tensor(x):
    x.grad = None
    return x * 2


@program(breaks=("tensor-attribute",))
def backward(x):
    w = (x * 1).detach().requires_grad_()
    (w * w).sum().backward()
    return w.grad


@program(breaks=("side-effect", "exception"))
def raise_after(x):
    y = x * 2
    print("before")
    raise RuntimeError("after")


@program(breaks=("side-effect",))
def retval_expr(x):
    return (x + 1) * (print("mid") or 2) + x


@program(breaks=("side-effect",))
def callargs(x):
    return helper(x, print("k") or 3, b=print("b") or 4)


@program(breaks=("data-dependent", "side-effect"))
def method_chain(x):
    return (x.exp().sum().item().__class__.__name__, [x, print("z")][0].exp())


@program(breaks=("data-dependent",))
def assert_dd(x):
    assert (x * x).sum() > 0, "neg"
    return x


@program(breaks=("data-dependent",))
def not_(x):
    return (not x.sum() > 0, x * 2)


@program(breaks=("side-effect", "opaque-iterator"))
def break_continue(x):
    out = []
    for i in range(6):
        if i == 1:
            continue
        print(i)
        if i == 4:
            break
        out.append(x + i)
    else:
        out.append("no")
    return out


@program(breaks=("side-effect",))
def nested_with(x):
    with no_grad():
        with enable_grad():
            print(is_grad_enabled())
            y = x * 2
        print(is_grad_enabled())
    return y


@program(breaks=("side-effect", "exception"))
def with_raise(x):
    c = CM()
    with c:
        y = x + 1
        noisy_raise()
    return (y, c.log)


def noisy_raise():
    print("R")
    raise KeyError("z")


@program(breaks=("side-effect", "opaque-iterator", "exception"))
def try_nested(x):
    out = []
    for i in range(3):
        try:
            print(i)
            if i == 1:
                noisy_raise()
            out.append(x * i)
        except KeyError:
            out.append("err")
        finally:
            out.append("f")
    return out


@program(breaks=("side-effect",))
def super_break(x):
    return C2().f(x)


class C1:
    def f(self, x):
        print("base")
        return x + 1


class C2(C1):
    def f(self, x):
        y = x * 2
        print("child")
        return super().f(y)


C2.ff = C2.f

p_method = C2.f


@program(breaks=("side-effect",))
def recursive(x, n=3):
    if n == 0:
        return x
    print(n)
    return recursive(x * 2, n - 1)


@program(breaks=("side-effect",))
def lambda_break(x):
    return (lambda y: (print("l"), y * 2)[1])(x)


@program(breaks=("side-effect",))
def default_tensor(x):

    def g(a, b=x * 2):
        print("g")
        return a + b

    return g(x) + g(x, x)


@program(breaks=("side-effect",))
def global_(x):
    global G0
    G0 = 5
    print(G0)
    G0 = 6
    print(show())
    return x * G0


G0 = 1


def show():
    return G0


@program(breaks=("data-dependent",))
def match_dd(x):
    match x.sum().item() > 0:
        case True:
            return x * 2
        case _:
            return x - 2


@program(breaks=("data-dependent",))
def ifelse_chain(x):
    if x.sum() > 100:
        r = 1
    elif x.sum() > 0:
        r = 2
    else:
        r = 3
    return x * r


@program(breaks=("data-dependent",))
def or_(x):
    return x.sum() > 0 or x * 2


@program(breaks=("data-dependent",))
def compare_chain(x):
    return 0 < x.sum() < 100


@program(breaks=("side-effect",))
def starred(x):
    a, *b = [print(1), x, x + 1]
    return b


@program(breaks=("side-effect", "opaque-iterator"))
def for_tensor(x):
    out = []
    for row in x:
        print("row")
        out.append(row * 2)
    return out


@program(breaks=("not-reconstructible", "opaque-iterator", "side-effect"))
def itertools_live(x):
    out = []
    for a in itertools.chain([x], [x + 1]):
        print("c")
        out.append(a)
    return out


@program(breaks=("not-reconstructible",))
def return_gen(x):
    return (x * i for i in range(2))


@program()
def return_map(x):
    return map(lambda t: t * 2, [x, x])


@program(breaks=("side-effect",))
def import_new(x):
    import this_module_does_not_exist as missing

    return x, missing
