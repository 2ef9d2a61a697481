"""Calls: kinds of arguments, wrong calls, closures kept between calls."""

from __future__ import annotations

from captured import ramp

from programs import program


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
def annotations_and_docs(x):
    def scale(t: int, *, by: "float" = 2.0) -> str:
        """Scale it."""
        return t * by

    return scale(x), scale.__doc__, list(scale.__annotations__), scale.__kwdefaults__
