"""Special methods, descriptors and abstract classes, called by statements and by builtins."""

from __future__ import annotations

import abc
import collections.abc
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from captured import ramp

from programs import program

T = TypeVar("T")


class Key:
    """Hashed and compared by its name."""

    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return isinstance(other, Key) and self.name == other.name

    def __hash__(self):
        return hash(self.name)

    def __repr__(self):
        return f"Key({self.name!r})"

    def __lt__(self, other):
        return self.name < other.name


@program()
def keys_of_dict(x):
    d = {Key("a"): x, Key("b"): 2}
    d[Key("a")] = d[Key("a")] * d[Key("b")]
    d.setdefault(Key("c"), 5)
    return d[Key("a")], len(d), Key("z") in d, d.get(Key("q"), 7), d.pop(Key("c"))


@program()
def keys_returned(x):
    return {Key("a"): x, Key("b"): x + 1}


@program(lambda: (ramp(), Key("a")), lambda: (ramp(), Key("b")))
def key_argument(x, k):
    table = {Key("a"): 2, Key("b"): 3}
    return x * table[k]


@program()
def elements_of_set(x):
    s = {Key("a"), Key("b"), Key("a")}
    s.add(Key("b"))
    s.discard(Key("a"))
    return x * len(s), Key("b") in s, Key("a") in s


@program()
def element_in_list(x):
    l = [Key("a"), Key("b"), Key("a")]
    l.remove(Key("a"))
    return x, l.index(Key("b")), l.count(Key("a")), Key("z") in l, len(l)


@program()
def list_equality(x):
    return x, [Key("a")] == [Key("a")], (Key("a"), 1) == (Key("b"), 1), {"k": Key("a")} == {"k": Key("a")}


@program()
def sort_objects(x):
    l = [Key("c"), Key("a"), Key("b")]
    l.sort()
    names = [k.name for k in l]
    return x, names, [k.name for k in sorted(l, reverse=True)], min(l).name, max(l).name


@program()
def sort_by_object_key(x):
    return x, sorted(["c", "a", "b"], key=Key), sorted([(Key("b"), 1), (Key("a"), 2)])[0][1]


@program()
def text_of_objects(x):
    return (
        x,
        repr([Key("a")]),
        str({"k": Key("b")}),
        f"{Key('c')} {(Key('d'),)}",
        "%s" % Key("e"),
        "{}".format(Key("f")),
    )


class Interval:
    def __init__(self, low, high):
        self.low, self.high = low, high

    def __contains__(self, value):
        return self.low <= value <= self.high

    def __iter__(self):
        yield self.low
        yield self.high

    def __len__(self):
        return 2

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self.low, self.high][i]
        return (self.low, self.high)[i]

    def __bool__(self):
        return self.high > self.low

    def __call__(self, t):
        return t * self.high

    def __neg__(self):
        return Interval(-self.high, -self.low)

    def __add__(self, other):
        return Interval(self.low + other, self.high + other)

    __radd__ = __add__

    def __iadd__(self, other):
        self.high = self.high + other
        return self

    def __matmul__(self, other):
        return "matmul"

    def __abs__(self):
        return self.high - self.low

    def __int__(self):
        return int(self.low)

    def __float__(self):
        return float(self.high)

    def __index__(self):
        return self.low

    def __round__(self, n=None):
        return ("round", n)

    def __reversed__(self):
        return iter([self.high, self.low])

    def __divmod__(self, other):
        return (self.high // other, self.high % other)

    def __pow__(self, other, mod=None):
        return (other, mod)

    def __invert__(self):
        return "inverted"

    def __getattr__(self, name):
        if name.startswith("get_"):
            return lambda: name
        raise AttributeError(name)


@program()
def container_protocol(x):
    i = Interval(1, 3)
    return x, 2 in i, 5 in i, list(i), len(i), i[0], i[-1:], tuple(i), [*i], dict([i])


@program()
def truth_protocol(x):
    a = 1 if Interval(1, 3) else 2
    b = 1 if Interval(3, 1) else 2
    return x, a, b, not Interval(1, 3), Interval(3, 1) or "empty", bool(Interval(0, 1))


@program()
def operator_protocol(x):
    i = Interval(1, 3)
    j = -i
    k = 5 + i
    i += 2
    return x, i.high, j.low, k.low, i @ 3, abs(i), ~i, i**2


@program()
def conversion_protocol(x):
    i = Interval(1, 3)
    return x, int(i), float(i), [10, 20, 30][i], round(i), round(i, 2), list(reversed(i)), divmod(i, 2), pow(i, 2, 3)


@program()
def call_protocol(x):
    return Interval(1, 3)(x), callable(Interval(1, 2)), [t for t in map(Interval(1, 3), [x])]


@program()
def dynamic_attributes(x):
    i = Interval(1, 2)
    return x, i.get_thing(), hasattr(i, "get_a"), hasattr(i, "other"), getattr(i, "missing", "default")


@program()
def unpack_object(x):
    a, b = Interval(1, 3)
    first, *rest = Interval(4, 5)
    return x * a, b, first, rest, max(*Interval(2, 9))


class Sequence(collections.abc.Sequence):
    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


@program()
def abstract_sequence(x):
    s = Sequence(1, 2, 3, 2)
    return x, list(s), 2 in s, s.index(3), s.count(2), list(reversed(s)), isinstance(s, collections.abc.Iterable)


class Old:
    """Iterated by __getitem__."""

    def __getitem__(self, i):
        if i > 2:
            raise IndexError(i)
        return i * 10


@program()
def iterate_by_index(x):
    return x, list(Old()), 20 in Old(), [v for v in Old()], tuple(zip(Old(), "ab"))


class Store(collections.abc.MutableMapping):
    def __init__(self, **items):
        self.items_ = dict(items)

    def __getitem__(self, k):
        return self.items_[k]

    def __setitem__(self, k, v):
        self.items_[k] = v

    def __delitem__(self, k):
        del self.items_[k]

    def __iter__(self):
        return iter(self.items_)

    def __len__(self):
        return len(self.items_)


def scale(t, *, by=1, plus=0):
    return t * by + plus


@program()
def abstract_mapping(x):
    s = Store(a=x, b=2)
    s["c"] = 3
    s.update({"d": 4})
    del s["b"]
    return s["a"] * s.pop("c"), list(s.keys()), list(s.values())[1:], s.get("q", 9), "d" in s, s.setdefault("e", 1)


@program()
def mapping_unpacked(x):
    return scale(x, **Store(by=2, plus=1)), {**Store(a=1)}, dict(Store(b=2))


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...

    @property
    @abc.abstractmethod
    def name(self): ...

    def describe(self):
        return f"{self.name}:{self.area()}"


class Box(Shape):
    name = "box"

    def __init__(self, w):
        self.w = w

    def area(self):
        return self.w * self.w


@program()
def abstract_class(x):
    return x * Box(3).area(), Box(2).describe(), isinstance(Box(1), Shape), issubclass(Box, Shape)


@program()
def abstract_instance(x):
    try:
        Shape()
    except TypeError as e:
        return x, str(e)
    return None


@runtime_checkable
class HasArea(Protocol):
    def area(self) -> Any: ...


@program()
def runtime_protocol(x):
    return x, isinstance(Box(1), HasArea), isinstance(3, HasArea), issubclass(Box, HasArea), issubclass(int, HasArea)


class Holder(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item

    def map(self, f):
        return Holder(f(self.item))


@program()
def generic_class(x):
    h = Holder[int](x).map(lambda t: t * 2)
    return h.item, Holder(3).item


@program()
def virtual_subclass(x):
    kinds = (collections.abc.Mapping, collections.abc.Sequence, collections.abc.Callable, collections.abc.Hashable)
    values = ({}, [], len, (), Box, "s", Store())
    return x, [[isinstance(v, k) for k in kinds] for v in values]


@program()
def protocol_of_instance(x):
    """The check looks at the instance too, not at its class alone."""
    box, bare = Store(), Store()
    box.area = lambda: 3
    return x, isinstance(box, HasArea), isinstance(bare, (int, HasArea)), isinstance(box, str | HasArea)


class Proxy:
    """Claims to be of another class, as mocks and wrappers do."""

    @property
    def __class__(self) -> type:
        return dict


@program()
def claimed_class(x):
    proxy = Proxy()
    return x, isinstance(proxy, dict), isinstance(proxy, Proxy), proxy.__class__, type(proxy) is Proxy
