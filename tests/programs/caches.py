"""Functions whose results are cached: one result for all callers, made once, whoever asks first."""

from __future__ import annotations

import functools

from captured import ramp

import tracegraph as tg
from programs import program


@functools.cache
def frequencies(size):
    return tg.arange(size).float() * 2


@program()
def cached_tensor(x):
    return x + frequencies(3), frequencies(3) is frequencies(3)


@functools.lru_cache(maxsize=4)
def causal_mask(rows, columns=3, *, fill=1):
    rows_of_ones = []
    for _ in range(rows):
        rows_of_ones.append([fill] * columns)
    return tg.tensor(rows_of_ones).tril()


@program()
def cached_mask(x):
    return x * causal_mask(2), x * causal_mask(2, fill=3), causal_mask(2, 3).shape


@functools.lru_cache(maxsize=None, typed=True)
def options(name):
    return {"name": name, "sizes": [1, 2]}


@program()
def cached_container(x):
    options(1)["sizes"].append(3)
    found = options(1)
    length = len(found["sizes"])
    found["sizes"].pop()
    return x * length, found["name"], options(1.0)["name"], options(1) is options(1.0)


MADE = []


@functools.cache
def noted(n):
    MADE.append(n)
    return n + 1


@program()
def cached_with_side_effect(x):
    return x * noted(3), noted(3), list(MADE)


class Layer:
    def __init__(self, size):
        self.size = size
        self.log = []

    @functools.lru_cache(maxsize=8)
    def table(self, factor):
        return tg.ones(self.size) * factor

    @functools.cached_property
    def bias(self):
        self.log.append("made")
        return tg.ones(self.size)


LAYER = Layer(3)


@program()
def cached_method(x):
    return x * LAYER.table(2) + LAYER.table(3)


@program(lambda: (ramp(), Layer(3)), lambda: (ramp(), Layer(1)))
def cached_property(x, layer):
    return x * layer.bias, layer.bias is layer.bias, layer.log


@functools.cache
def refused(n):
    raise ValueError(f"no {n}")


@program()
def cached_function_raises(x):
    try:
        refused(2)
    except ValueError as e:
        return x, str(e)


@functools.cache
def of_tensor(t):
    return t * 2


@program()
def cached_by_tensor(x):
    return of_tensor(x), of_tensor(x) is of_tensor(x)
