"""Keyword arguments, decorators, signatures."""

import functools
import inspect
import time

import torch

from graph_programs import program


@program("4x8")
def kwargs_heavy(x, *args, scale=2.0, **kwargs):
    def inner(x, a=1, *, b=2, **rest):
        return x * a + b + sum(rest.values())

    options = {"a": 3, **kwargs}
    options.setdefault("b", 4)
    options.update(c=5)
    if options.pop("c", None):
        options["d"] = 1
    return inner(x, **options) * scale, len(args), kwargs.get("missing", None)


@program("4x8")
def decorated_no_grad(x):
    @torch.no_grad()
    def f(x):
        return x * 2

    @functools.wraps(f)
    def g(*args, **kwargs):
        return f(*args, **kwargs) + 1

    return g(x), g.__name__


def timed(fn):
    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        start = time.perf_counter()
        out = fn(*args, **kwargs)
        wrapper.elapsed = time.perf_counter() - start
        return out

    return wrapper


@program("4x8")
@timed
def timed_function(x):
    return x * 2


def typecheck(fn):
    hints = {k: v for k, v in inspect.signature(fn).parameters.items()}

    @functools.wraps(fn)
    def wrapper(*args):
        for (name, p), a in zip(hints.items(), args):
            if p.annotation is torch.Tensor and not isinstance(a, torch.Tensor):
                raise TypeError(name)
        return fn(*args)

    return wrapper


@program("4x8 =2")
@typecheck
def type_checked(x: torch.Tensor, k: int):
    return x * k


@program("4x8 =2")
def signature_in_call(x, k):
    def f(a, b=1, *, c=2):
        return a * b * c

    accepted = inspect.signature(f).parameters
    return f(x, **{n: v for n, v in {"b": k, "zz": 3}.items() if n in accepted})
