"""Attributes of functions, classes and modules that the program assigns: read back in the trace, replayed after it."""

from __future__ import annotations

import functools
import sys
import types

from captured import ramp

from programs import program

flag = 1


def counted(x):
    counted.calls += 1
    return x * counted.calls


counted.calls = 0


@program()
def attributes_of_a_function(x):
    counted.calls = 0
    a, b = counted(x), counted(x)
    counted.mark = a
    seen = counted.mark is a, "mark" in vars(counted), counted.__dict__["calls"]
    del counted.mark
    return a, b, seen, hasattr(counted, "mark"), vars(counted)


@program()
def describing_attributes_of_a_function(x):
    before = counted.__name__
    counted.__name__, counted.__doc__ = "renamed", "text"
    seen = counted.__name__, counted.__doc__
    counted.__name__, counted.__doc__ = before, None
    return x, seen, counted.__name__


class Registry:
    count = 0
    names: list[int] = []

    def __init__(self):
        Registry.count += 1
        type(self).names.append(self.count)


class Special(Registry):
    pass


@program()
def attributes_of_a_class(x):
    Registry.count, Registry.names = 0, []
    a, b = Registry(), Special()
    return x * Registry.count, Registry.names, a.count, Special.count, b.names is Registry.names


@program()
def attributes_added_to_a_class(x):
    Registry.scale = lambda self, t: t * 3
    Special.limit = 5
    s = Special()
    found = s.scale(x), s.limit, Special.limit, hasattr(Registry, "limit")
    del Registry.scale
    delattr(Special, "limit")
    return found, hasattr(Special, "scale"), hasattr(s, "limit")


@program()
def an_attribute_hidden_and_shown_again(x):
    Registry.count = 3
    Special.count = 4
    hidden = Special.count, Registry.count
    del Special.count
    return x * Special.count, hidden


@program(breaks=("side-effect",))
def special_method_of_a_class(x):
    Special.__len__ = lambda self: 7
    found = len(Special())
    del Special.__len__
    return x * found


def steps(x):
    steps.total += 1
    return x + steps.total


steps.total = 0


@program(lambda: (ramp(), setattr(steps, "total", 0)), lambda: (ramp(), setattr(steps, "total", 5)))
def counter_of_a_function(x, reset):
    return steps(x), steps(x), steps.total


@program()
def attributes_of_a_module(x):
    module = sys.modules[__name__]
    module.flag = 3
    module.extra = x
    seen = flag, module.extra * 2, getattr(module, "flag")
    module.flag = 1
    del module.extra
    return seen, flag, hasattr(module, "extra")


@program()
def a_global_seen_as_an_attribute(x):
    global flag
    flag = 7
    seen = sys.modules[__name__].flag
    flag = 1
    return x * seen, sys.modules[__name__].flag


@program()
def ordering_made_in_the_trace(x):
    @functools.total_ordering
    class Rank:
        def __init__(self, n):
            self.n = n

        def __eq__(self, other):
            return self.n == other.n

        def __lt__(self, other):
            return self.n < other.n

    return x, Rank(1) >= Rank(2), Rank(1) <= Rank(1), Rank(3) > Rank(2)


class Scaling:
    def scale(self, factor, x):
        return x * factor

    double = functools.partialmethod(scale, 2)


@program()
def partial_method(x):
    class Own:
        def add(self, a, b):
            return x * a + b

        add_two = functools.partialmethod(add, 2)

    return Scaling().double(x), Own().add_two(3)


@program()
def partial_with_attributes(x):
    p = functools.partial(counted, x)
    p.label = "p"
    return p.label, p


@program(lambda: (ramp(), types.SimpleNamespace(a=2, t=1)), breaks=("unsupported-value",))
def namespaces_compared(x, n):
    n.b = 3
    return x, types.SimpleNamespace(a=2, t=n.t, b=3) == n, n != types.SimpleNamespace(a=2), n == 1
