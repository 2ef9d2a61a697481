"""Modules, functions and names that change under captured code.

Each story yields (function, arguments), changes the world and goes on; see `stories`.
"""

from __future__ import annotations

import builtins
import functools
import itertools
import math
import sys
import types
from typing import Any

import pytest
from stories import check, stories_of, x


def module_class_replaced():
    module = types.ModuleType("module")

    class Other(types.ModuleType):
        @property
        def scale(self):
            return 3

    def f(t):
        return t * getattr(module, "scale", 7)

    yield f, (x(),)
    module.__class__ = Other
    yield f, (x(),)


def module_attributes_come_and_go():
    module = types.ModuleType("module")

    def f(t):
        return t * (2 if hasattr(module, "scale") else 3)

    yield f, (x(),)
    module.scale = 1
    yield f, (x(),)
    del module.scale
    yield f, (x(),)
    module.__getattr__ = lambda name: 5
    yield f, (x(),)


def modules_replaced():
    def f(t):
        import story_module

        return t * story_module.scale

    try:
        for k in (2, 3):
            sys.modules["story_module"] = types.ModuleType("story_module")
            sys.modules["story_module"].scale = k
            yield f, (x(),)
    finally:
        del sys.modules["story_module"]


def names_come_and_go():
    def f(t):
        try:
            return t * STORY
        except NameError:
            return t * 50

    yield f, (x(),)
    builtins.STORY = 8
    try:
        yield f, (x(),)
    finally:
        del builtins.STORY
    yield f, (x(),)


def variable_without_value():
    k = 2

    def f(t):
        try:
            return t * k
        except NameError:
            return t * 50

    yield f, (x(),)
    del k
    yield f, (x(),)
    k = 4
    yield f, (x(),)


def functions_of_modules_patched():
    def f(t):
        return t * math.floor(2.5) * sum(itertools.accumulate([1, 2]))

    yield f, (x(),)
    for module, name, other in ((math, "floor", lambda v: 9), (itertools, "accumulate", lambda items: [100])):
        original = getattr(module, name)
        setattr(module, name, other)
        try:
            yield f, (x(),)
        finally:
            setattr(module, name, original)


def cached_result():
    table = [2]

    @functools.lru_cache
    def scale():
        return table[0]

    def f(t):
        return t * scale()

    yield f, (x(),)
    table[0] = 3
    yield f, (x(),)
    scale.cache_clear()
    yield f, (x(),)


def defaults_of_callees_go():
    def g(t, k=2, *, j=1):
        return t * k + j

    def f(t):
        return g(t)

    yield f, (x(),)
    g.__defaults__ = (3,)
    yield f, (x(),)
    g.__kwdefaults__ = {"j": 5}
    yield f, (x(),)
    g.__kwdefaults__["j"] = 6
    yield f, (x(),)
    g.__kwdefaults__ = None
    yield f, (x(),)
    g.__defaults__ = None
    yield f, (x(),)


def builtins_of_their_own():
    own = dict(vars(builtins))
    names: dict[str, Any] = {"__builtins__": own}
    exec("def f(t): return t * len([1, 2])", names)
    yield names["f"], (x(),)
    own["len"] = lambda value: 9
    yield names["f"], (x(),)
    names["len"] = lambda value: 4
    yield names["f"], (x(),)


STORIES = stories_of(globals())


@pytest.mark.parametrize("name", sorted(STORIES))
def test_the_next_call_is_right(name: str) -> None:
    check(STORIES[name])
