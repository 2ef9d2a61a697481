"""Graph breaks that are not calls of print: frames, attributes, data, exceptions."""

from __future__ import annotations

import itertools

from programs import program
from programs.functions import helper
from programs.unwinding import CM
from tracegraph.autograd.grad_mode import enable_grad, is_grad_enabled, no_grad


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


@program()
def locals_(x):
    y = x * 2
    return (sorted(locals()), y)


@program(breaks=("frame-access",))
def exec_(x):
    n = eval("1 + 2")
    return x * n


@program()
def setattr_tensor(x):
    x.grad = None
    return x * 2


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


@program(breaks=("side-effect", "opaque-iterator"))
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
