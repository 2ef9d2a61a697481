"""The collections module, and actions of the standard library that break the graph."""

from __future__ import annotations

import collections
import inspect
import logging
import random
import warnings

from captured import ramp

from programs import program
from programs.library import combine


@program()
def chain_maps(x):
    c = collections.ChainMap({"a": x}, {"a": 1, "b": 2})
    c["z"] = 3
    return c["a"] * c["b"], sorted(c), c.maps[0]["z"], "q" in c


@program()
def counters(x):
    c = collections.Counter("aabbb")
    c.update("a")
    c["z"] += 1
    return x, c["a"], c["missing"], c.most_common(1), dict(c), sum(c.values()), c.total()


@program()
def counter_arithmetic(x):
    a, b = collections.Counter(a=3, b=1), collections.Counter(a=1, c=2)
    return x, dict(a + b), dict(a - b), dict(a & b), list(a.elements())


@program()
def default_dicts(x):
    d = collections.defaultdict(lambda: 3)
    d["a"] += 1
    groups = collections.defaultdict(list)
    for k, v in [("p", x), ("q", 1), ("p", 2)]:
        groups[k].append(v)
    nested = collections.defaultdict(lambda: collections.defaultdict(int))
    nested["a"]["b"] += 2
    return dict(d), dict(groups), nested["a"]["b"], "zz" in d, d.get("zz")


@program()
def ordered_dicts(x):
    d = collections.OrderedDict([("a", 1), ("b", x)])
    d.move_to_end("a")
    d.move_to_end("b", last=False)
    d["c"] = 3
    return list(d), d.popitem(last=False), d, d == {"a": 1, "c": 3}


@program()
def user_containers(x):
    d = collections.UserDict(a=x)
    d["b"] = 2
    l = collections.UserList([3, 1])
    l.append(2)
    return d["a"] * d["b"], "a" in d, sorted(l), len(l), l[0]


@program(breaks=("side-effect",))
def warned(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("careful", stacklevel=1)
    return x * 2


LOGGER = logging.getLogger(__name__)


@program()
def message_of_disabled_level(x):
    y = x * 2
    LOGGER.debug("shape %s", y.shape)
    return y + 1


@program(breaks=("side-effect",))
def logged_message(x):
    y = x * 2
    LOGGER.warning("shape %s", y.shape)
    return y + 1


@program()
def random_number(x):
    random.seed(3)
    return x * random.randint(1, 5)


GENERATOR = random.Random(3)


@program()
def random_number_of_a_generator(x):
    GENERATOR.seed(4)
    return x * GENERATOR.random(), random.seed(2), random.random()


@program()
def signatures(x):
    signature = inspect.signature(combine)
    first = next(iter(signature.parameters.values()))
    return x, list(signature.parameters), first.name, first.kind.name, inspect.getfullargspec(combine).args


@program()
def type_questions(x):
    return (
        x,
        type(3) is int,
        type(x).__name__,
        isinstance(3, (int, str)),
        isinstance(True, int),
        isinstance(3, int | None),
        issubclass(bool, int),
        callable(len),
        hasattr([], "append"),
        getattr({}, "zz", 5),
        type(None),
        isinstance(x, type(x)),
    )


@program()
def integer_methods(x):
    return (
        x,
        (5).bit_length(),
        int("ff", 16),
        int.from_bytes(b"\x01\x02", "big"),
        (2.5).is_integer(),
        float("1e3"),
        (7).real,
    )


@program()
def set_operations(x):
    a, b = {1, 2, 3}, frozenset([2, 3, 4])
    a.update([9])
    a.discard(1)
    c = a - b
    return (
        x,
        sorted(a | b),
        a & b,
        c,
        a ^ {9},
        a.issubset({2, 3, 9}),
        b.isdisjoint({7}),
        len(c),
        sorted(a.union([1], (5,))),
    )


@program()
def dict_operations(x):
    d = {"a": 1, **{"b": 2}}
    d |= {"c": x}
    e = dict.fromkeys(["p", "q"], x)
    f = dict(zip("ab", [1, 2]), z=3)
    return (
        d,
        e,
        f,
        d.pop("zz", None),
        d.popitem()[0],
        list(d.items()),
        {k: v for k, v in f.items() if v > 1},
        d == {"a": 1},
    )


def popped_from():
    """A set that gives its second item next."""
    numbers = {1, 2}
    numbers.pop()
    numbers.update({1, 2})
    return ramp(), numbers


@program(popped_from, breaks=("unsupported-value",))
def what_a_set_gives_next(x, numbers):
    own = {1, 2}
    return x * own.pop() * numbers.pop(), numbers, own


@program(breaks=None)
def a_set_with_a_history(x):
    numbers = {1, 2, 3}
    numbers.add(9)
    numbers.discard(1)
    return x, list(numbers), numbers
