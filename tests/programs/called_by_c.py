"""Special methods that C code calls: in CPython's order, traced, with what they do and what they depend on."""

from __future__ import annotations

import collections
import itertools
import math
import operator
import re
import string
import sys
from typing import Any, NamedTuple

from captured import ramp

from programs import program


class Logged:
    """Notes which of its special methods are called."""

    def __init__(self, value, log):
        self.value = value
        self.log = log

    def note(self, name):
        self.log.append(name)
        return self.value

    def __eq__(self, other):
        return self.note("eq") == other.value

    def __hash__(self):
        return self.value

    def __bool__(self):
        return self.note("bool") > 1

    def __add__(self, other):
        return Logged(self.note("add") + other.value, self.log)

    def __lt__(self, other):
        return Logged(self.note("lt") - other.value, self.log)

    def __int__(self):
        return self.note("int")

    def __float__(self):
        return float(self.note("float"))

    def __index__(self):
        return self.note("index")

    def __str__(self):
        return str(self.note("str"))

    def __len__(self):
        return self.note("len")

    def __iter__(self):
        return iter([self.note("iter")])

    def __bytes__(self):
        return b"%d" % self.note("bytes")


def pair():
    log: list[str] = []
    return Logged(1, log), Logged(2, log), log


def arguments():
    return ramp(), *pair()


@program(arguments)
def classes_called_by_map(x, a, b, log):
    made = [list(map(kind, [a, b])) for kind in (str, int, float, bool, list, tuple, set, bytes, range)]
    return x * float("".join(map(str, [a, b]))), made, sum(map(int, [a, b])), dict(zip(map(str, [a]), [1])), log


@program(arguments)
def truth_asked_by_iterators(x, a, b, log):
    found = [
        list(filter(None, [a, b])),
        list(filter(lambda v: v, [a, b])),
        list(itertools.filterfalse(None, [a, b])),
        list(itertools.takewhile(lambda v: v, [b, a])),
        list(itertools.dropwhile(lambda v: v, [b, a])),
    ]
    kept = list(itertools.compress([1, 2], [a, b])), list(itertools.compress([1, 2], selectors=iter([b, a])))
    return x, [[v.value for v in part] for part in found], kept, log


@program(arguments)
def sums_of_iterators(x, a, b, log):
    sums = [v.value for v in itertools.accumulate([a, b])]
    return x, sums, [v.value for v in itertools.accumulate([a, b], initial=a)], list(itertools.accumulate("ab")), log


@program(arguments)
def numbers_asked_by_c(x, a, b, log):
    items = [1, 2, 3]
    taken = items.pop(a)
    items.insert(a, 5)
    queue = collections.deque([1, 2, 3])
    queue.rotate(a)
    found = list(enumerate("ab", a)), list(itertools.islice("abc", b)), list(itertools.combinations("abc", b))
    return x, items, taken, queue, found, list(itertools.repeat("r", b)), math.gcd(b, 4), math.comb(4, b), log


@program(arguments)
def texts_of_objects(x, a, b, log):
    return x, "%s" % a, "%d" % b, "%s and %r" % (a, "b"), "%5.1f" % (b,), "%(a)s" % {"a": a}, log


class Row(NamedTuple):
    first: Any
    second: Any


@program(arguments)
def texts_of_objects_in_tuples(x, a, b, log):
    return x, "%s and %s" % Row(a, b), "%(k)s" % Callable(), message(lambda: operator.mod("text", a)), log


class Joined(str):
    def __rmod__(self, other):
        return "joined"


@program()
def texts_with_a_reflected_method(x):
    return x, "%s" % Joined("a")


@program(arguments)
def containers_of_objects_compared(x, a, b, log):
    first = [a, b] < [a, a]
    return x, {a: 1} == {Logged(1, log): 1}, {a: 1} != {b: 1}, first.value, (a,) < (b, b), [a] < [a, b], log


@program()
def operators_as_functions(x):
    a, b, log = pair()
    found = operator.contains([a], b), operator.not_(a), operator.is_(a, a), operator.is_not(a, b)
    return x, found, log


class Base:
    def __init__(self, name):
        self.name = name

    def __add__(self, other):
        return "add", self.name

    def __radd__(self, other):
        return "radd", self.name

    def __lt__(self, other):
        return "lt", self.name

    def __gt__(self, other):
        return "gt", self.name


class Inheriting(Base):
    pass


class Overriding(Base):
    def __radd__(self, other):
        return "own radd", self.name


class Text(str):
    def __eq__(self, other):
        return "text"

    __hash__ = str.__hash__

    def __add__(self, other):
        return "added"


class Radd:
    def __radd__(self, other):
        return "radd"

    def __eq__(self, other):
        return "other"

    __hash__ = object.__hash__


@program()
def operands_asked_in_order(x):
    a, b, c = Base("a"), Inheriting("b"), Overriding("c")
    texts = Text("t") == "u", "u" == Text("t"), Text("t") + Radd(), "t" + Radd(), [1] + Radd(), Text("t") == Radd()
    return x, a + b, b + a, a + c, c + a, 1 + b, a < b, b < a, texts


def message(function) -> Any:
    try:
        return function()
    except Exception as error:
        return type(error).__name__, str(error)


@program()
def refusals_of_objects(x):
    thing = Base("thing")
    functions = (
        lambda: int(thing),
        lambda: float(thing),
        lambda: abs(thing),
        lambda: round(thing),
        lambda: divmod(thing, 1),
        lambda: thing**2,
        lambda: operator.index(thing),
        lambda: math.sqrt(thing),
        lambda: "".join(3),
        lambda: x + "text",
        lambda: None @ x,
    )
    return x, [message(f) for f in functions]


class Slotted:
    __slots__ = ("a",)


@program()
def missing_slots(x):
    return x, message(lambda: Slotted().a), message(lambda: delattr(Slotted(), "a"))


@program()
def the_exception_in_flight(x):
    found: list[Any] = [sys.exc_info()]
    try:
        raise ValueError("v")
    except ValueError as error:
        kind, value, traceback = sys.exc_info()
        found += [kind is ValueError, value is error, traceback is None, sys.exception() is error]
    return x, found, sys.exc_info(), sys.exception()


class Callable:
    """A mapping that can be called."""

    def keys(self):
        return ["k"]

    def __getitem__(self, key):
        return key + "!"

    def __call__(self):
        return None


@program()
def mappings_that_can_be_called(x):
    table = {"a": 1}
    table.update(Callable())
    return x, dict(Callable()), table, collections.defaultdict(Callable(), {"b": 2})["c"]


class Named:
    def __init__(self, name):
        self.name = name

    def __str__(self):
        return f"named {self.name}"

    __repr__ = __str__


def names():
    return ramp(), Named(3)


@program(names, lambda: (ramp(), Named(4)), lambda: (ramp(), Named(5)))
def texts_of_exceptions(x, o):
    try:
        try:
            raise ValueError(o, o.name)
        except ValueError as error:
            raise KeyError(o.name) from error
    except KeyError as error:
        caught = error
    cause = caught.__cause__
    return x, str(caught), f"{caught} {caught!r}", caught.args[0] + 1, str(cause), repr(cause), cause.args[0] is o


@program(names, lambda: (ramp(), Named(4)), lambda: (ramp(), Named(5)))
def varying_texts_for_c(x, o):
    filled = "{} {!r:>9}".format(o, o), "%(o)s" % {"o": o}, str([o]), str({"o": o})
    return x, filled, re.sub("a", lambda match: str(o), "bab"), string.Template("$o!").substitute(o=o)
