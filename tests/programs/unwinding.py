"""Exceptions, context managers and grad mode that end up in one graph."""

from __future__ import annotations

import contextlib

from programs import program
from tracegraph.autograd.grad_mode import enable_grad, is_grad_enabled, no_grad


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
