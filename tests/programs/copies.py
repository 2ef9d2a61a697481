"""copy.copy and copy.deepcopy of tensors, and of objects that hold them."""

from __future__ import annotations

import collections
import copy
import dataclasses
from typing import Any

from captured import ramp

from programs import program


@program()
def copied_tensor(x):
    y = copy.copy(x)
    return y + 1, y is x, x.detach()


@program(lambda: (ramp(),))
def deep_copied_tensor(x):
    y = copy.deepcopy(x)
    y.add_(1)
    return y, x


class Holder:
    def __init__(self, t):
        self.t = t
        self.both = [t, t]


@program(lambda: (ramp(), {"a": ramp(), "b": [ramp()]}))
def deep_copied_containers(x, state):
    copied = copy.deepcopy(state)
    copied["a"].mul_(2)
    return x + copied["a"], copied, state


@program(lambda: (ramp(), Holder(ramp())))
def deep_copied_objects(x, holder):
    copied, own = copy.deepcopy(holder), copy.deepcopy(Holder(x))
    copied.t.add_(1)
    own.t.mul_(3)
    return copied.t, holder.t, copied.both[0] is copied.t, own.both, x


@dataclasses.dataclass
class Output:
    hidden: Any
    extra: Any = None


@program(lambda: (ramp(), Output(ramp(), [ramp()])))
def records_as_dicts(x, output):
    return (
        dataclasses.asdict(output)["hidden"] + x,
        dataclasses.astuple(output)[1],
        dataclasses.replace(output, extra=1),
    )


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a):
        self.a = a


@program(lambda: (ramp(), Slots(2)))
def copied_slots(x, s):
    t = copy.copy(s)
    t.b = x
    u = copy.deepcopy(Slots([1]))
    return t.a, t.b, hasattr(s, "b"), u.a


Pair = collections.namedtuple("Pair", ["first", "second"])


class Stack(list):
    limit = 3


class Table(dict):
    pass


class Name(str):
    pass


@program(lambda: (ramp(), Pair(1, [2]), Stack([1, [2]]), Table(a=[1]), Name("n")))
def copied_derived(x, pair, stack, table, name):
    a, b, c, d = copy.copy(pair), copy.deepcopy(stack), copy.deepcopy(table), copy.copy(name)
    b.append(3)
    b[1].append(4)
    c["a"].append(2)
    return x, a, a.second is pair.second, b, stack, c, table, type(d).__name__, d == "n", b.limit


class Versioned:
    def __init__(self, n):
        self.n = n

    def __getstate__(self):
        return {"n": self.n, "version": 2}

    def __setstate__(self, state):
        self.n = state["n"] * 10
        self.version = state["version"]


class Rebuilt:
    def __init__(self, n):
        self.n = n

    def __reduce__(self):
        return Rebuilt, (self.n + 1,)


@program()
def copied_by_own_methods(x):
    a, b = copy.copy(Versioned(x)), copy.deepcopy(Rebuilt(3))
    return a.n, a.version, b.n


@program(lambda: (ramp(requires_grad=True),))
def deep_copied_leaf(w):
    v = copy.deepcopy(w)
    return v, v.is_leaf, w * 2


@program(lambda: (ramp(requires_grad=True),), breaks=("tensor-attribute",))
def deep_copy_of_a_history(w):
    return copy.deepcopy(w * 2)


class Sampling:
    temperature = 1.25

    def __init__(self, penalty):
        self.penalty = self.limit = penalty


@program(lambda: (ramp(), Sampling(0.75)))
def deep_copies_of_equal_numbers(x, sampling):
    first = copy.deepcopy(sampling)
    first.penalty += sampling.limit
    return x * first.penalty, first.limit, copy.deepcopy((0.75, [0.75]))
