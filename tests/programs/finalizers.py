"""Objects with code that runs when they die, carried over graph breaks: it runs where eager runs it."""

from __future__ import annotations

import weakref

import tracegraph as tg
from programs import program


class Handle:
    def __init__(self, log):
        self.log = log

    def __del__(self):
        self.log.append("dead")


@tg.compiler.disable
def started(log):
    """A generator that waits in its try statement."""

    def numbers():
        try:
            yield 0
            yield 1
            yield 2
        finally:
            log.append("closed")

    generator = numbers()
    next(generator)
    return generator


@program(breaks=None)
def generator_deleted(x):
    log = []
    g = started(log)
    y = x * 2
    del g
    log.append("next")
    print("break")
    return y + 1, log


@program(breaks=None)
def generator_rebound(x):
    log = []
    g = started(log)
    y = x * 2
    print("between")
    g = None
    log.append("next")
    return y + 1, log, g


@program(breaks=None)
def loop_left(x):
    log = []
    for v in started(log):
        print("in the loop")
        x = x + v
        if v == 2:
            break
    else:
        log.append("exhausted")
    log.append("next")
    return x, log


@program(breaks=None)
def loops_over_adapted_generators_left(x):
    log = []
    for i, v in enumerate(started(log)):
        print("in the loop")
        x = x + v
        if i == 1:
            break
    log.append("next")
    for _, v in zip(range(2), map(abs, started(log)), strict=False):
        print("in the other loop")
        x = x * v
    log.append("last")
    return x, log


@program(breaks=None)
def loop_left_at_once(x):
    log = []
    for v in started(log):
        x = x + v
        break
    log.append("next")
    return x, log


@program(breaks=None)
def returned_from_a_loop(x):
    log = []
    try:
        for v in started(log):
            print("in the loop")
            if v:
                return x * v, log
    finally:
        log.append("next")
    return None


@program(breaks=None)
def generator_not_read_again(x):
    log = []
    g = started(log)  # noqa: F841 - it lives until the function ends
    print("first")
    log.append("first")
    x = x + 1
    print("second")
    log.append("second")
    return x, log


@program(breaks=None)
def finalizer_of_a_class(x):
    log = []
    for i in range(3):
        handle = Handle(log)
        x = x + i
        log.append(i)
        print(i)
    log.append(type(handle).__name__)
    del handle
    log.append("next")
    return x, log


class Plain:
    """Something that can be referred to weakly."""


@program(breaks=None)
def what_is_referred_to_weakly_lives_as_long(x):
    named, held = weakref.WeakValueDictionary(), Plain()
    named["held"] = held
    other = Plain()
    seen = weakref.ref(other)
    y = x * 2
    print("first", len(named))
    y = y + 1
    print("second", len(named), seen() is None)
    del held
    return y, len(named), seen() is None


class Scaling(Plain):
    """With a method, which leads to it."""

    def scale(self, x):
        return x * 2


@program(breaks=None)
def what_operands_of_a_break_lead_to_lives_as_long(x):
    scaling, shared = Scaling(), Plain()
    method, proxy = weakref.WeakMethod(scaling.scale), weakref.proxy(scaling)
    named = weakref.WeakValueDictionary([("shared", shared)])
    y = method()(x)
    print("first", len(named))
    return proxy.scale(y), len(named), isinstance(proxy, Scaling), isinstance(proxy, dict)


@program(breaks=None)
def tensors_die_where_deleted(x):
    y = x * 3
    seen = weakref.ref(y)
    print("first")
    z = y * 2
    print("second", seen() is y)
    del y
    print("third", seen() is None)
    return z + 1


@program(breaks=None)
def callbacks_of_weak_references(x):
    log = []
    first, second = Plain(), Plain()
    seen = weakref.ref(first, lambda _: log.append("first"))
    weakref.finalize(second, log.append, "second")
    del first
    y = x + len(log)
    del second
    return y + len(log), log, seen() is None
