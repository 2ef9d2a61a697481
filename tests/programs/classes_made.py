"""Class statements inside the captured function."""

from __future__ import annotations

import abc
import collections
import dataclasses
import enum
import functools
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from programs import program
from programs.classes import Vec

T = TypeVar("T")


@program()
def plain_class(x):
    class Scale:
        factor = 3

        def __init__(self, t):
            self.t = t

        def apply(self):
            return self.t * self.factor

    return Scale(x).apply(), Scale.__name__, Scale.factor, isinstance(Scale(1), Scale)


@program()
def class_closure(x):
    n = 2

    class Adder:
        offset = n + 1

        def add(self, t):
            return t + n + self.offset

    n = 5
    return Adder().add(x)


@program()
def class_inherits(x):
    class Base:
        def __init__(self, v):
            self.v = v

        def get(self):
            return self.v

    class Child(Base):
        def get(self):
            return super().get() * 2

    return Child(x).get(), issubclass(Child, Base), [c.__name__ for c in Child.__mro__]


@program()
def class_inherits_outside(x):
    class Longer(Vec):
        def scaled(self):
            return self.v * 2

    return Longer(x).scaled()


@program()
def class_methods(x):
    class C:
        count = 0

        @property
        def double(self):
            return self.v * 2

        @classmethod
        def make(cls, v):
            cls.count += 1
            self = cls()
            self.v = v
            return self

        @staticmethod
        def twice(t):
            return t * 2

        @functools.cached_property
        def cached(self):
            return self.v + 1

    c = C.make(x)
    return c.double, C.twice(x), c.cached, c.cached, C.count


@program()
def class_exception(x):
    class Failed(ValueError):
        def __init__(self, code):
            super().__init__(f"code {code}")
            self.code = code

    try:
        raise Failed(7)
    except ValueError as e:
        return x * e.code, str(e), type(e).__name__


@program()
def class_dataclass(x):
    @dataclass
    class Item:
        v: Any
        n: int = 2
        tags: list = field(default_factory=list)

    @dataclass(frozen=True, order=True)
    class Size:
        a: int
        b: int = 1

    i = Item(x)
    i.tags.append("t")
    return i.v * i.n, i.tags, Size(1) < Size(2), Size(1) == Size(1), repr(Size(3))


@program()
def class_named_tuple(x):
    class Pair(NamedTuple):
        a: Any
        b: int = 4

    p = Pair(x)
    a, b = p
    return a * b, p._replace(b=1).b, p._fields


@program()
def class_enum(x):
    class Mode(enum.Enum):
        ON = 1
        OFF = enum.auto()

    return x * Mode.OFF.value, Mode(1).name, [m.name for m in Mode], Mode.ON is Mode["ON"]


@program()
def class_abstract(x):
    class Shape(abc.ABC):
        @abc.abstractmethod
        def area(self): ...

    class Square(Shape):
        def area(self):
            return 9

    try:
        Shape()
    except TypeError:
        return x * Square().area()
    return None


@program()
def class_generic(x):
    class Box(Generic[T]):
        def __init__(self, item: T):
            self.item = item

    return Box(x).item * 2, Box[int](3).item


@program()
def class_operators(x):
    class V:
        def __init__(self, v):
            self.v = v

        def __add__(self, other):
            return V(self.v + other.v)

        def __eq__(self, other):
            return self.v == other.v

        def __hash__(self):
            return hash(self.v)

        def __repr__(self):
            return f"V({self.v})"

    return (V(x) + V(1)).v, V(2) == V(2), {V(1): 5}[V(1)], repr([V(3)])


@program()
def class_body_statements(x):
    class C:
        values = [i * i for i in range(3)]
        total = 0
        for v in values:
            total += v
        if total > 3:
            kind = "large"
        else:
            kind = "small"
        del v

        def first(self, n=total):
            return self.values[1] + n

    return x * C().first(), C.kind, hasattr(C, "v")


@program()
def class_attribute_set(x):
    class C:
        pass

    C.scale = 3
    setattr(C, "name", "c")
    return x * C.scale, C().name


@program(breaks=("side-effect",))
def class_alive_at_break(x):
    class C:
        v = 3

        def get(self):
            return self.v

    c = C()
    c.v = 4
    print("made", c.get())
    return x * c.get(), C.v


@program(breaks=("native-call",))
def class_with_metaclass(x):
    class Meta(type):
        def __new__(mcs, name, bases, namespace):
            namespace["added"] = 4
            return super().__new__(mcs, name, bases, namespace)

    class C(metaclass=Meta):
        pass

    return x * C.added


class Registered:
    names: list[str] = []

    def __init_subclass__(cls) -> None:
        cls.mark = "m" + cls.__name__


@program()
def class_registers(x):
    class One(Registered):
        pass

    class Two(One):
        pass

    return x + len(One.mark), One.mark, Two.mark, One.__mro__[1:]


@program()
def class_registers_keywords(x):
    class Layer:
        kinds = {}

        def __init_subclass__(cls, /, kind=None, **rest):
            super().__init_subclass__(**rest)
            Layer.kinds[kind] = cls

        def apply(self, t):
            return t

    class Double(Layer, kind="double"):
        def apply(self, t):
            return super().apply(t) * 2

    class Triple(Layer, kind="triple"):
        def apply(self, t):
            return super().apply(t) * 3

    return [Layer.kinds[k]().apply(x) for k in ("double", "triple")], list(Layer.kinds)


class Named:
    def __set_name__(self, owner, name):
        self.name = "_" + name
        self.owner = owner.__name__
        owner.fields = [*getattr(owner, "fields", ()), name]

    def __get__(self, instance, owner=None):
        return self if instance is None else getattr(instance, self.name)

    def __set__(self, instance, value):
        setattr(instance, self.name, value)


@program()
def class_names_descriptors(x):
    class Point(Registered):
        a = Named()
        b = Named()

        def __init__(self, a, b):
            self.a = a
            self.b = b

    p = Point(x, 3)
    p.b += 1
    return p.a * p.b, Point.fields, Point.a.owner, Point.mark, sorted(p.__dict__)


@program()
def class_names_abstract(x):
    class Shape(abc.ABC, Registered):
        side = Named()

        @abc.abstractmethod
        def area(self): ...

    try:
        Shape()
    except TypeError:
        return x * len(Shape.mark), Shape.fields
    return None


class Numbers(list):
    def __init_subclass__(cls) -> None:
        cls.total = cls.__name__


@program(breaks=("native-call",))
def class_registers_with_a_layout(x):
    class Few(Numbers):
        pass

    return x * 2, Few.total


@program(breaks=("exception",))
def class_refused_by_its_base(x):
    class Closed:
        def __init_subclass__(cls):
            raise TypeError("closed")

    try:

        class Open(Closed):
            pass

    except TypeError as e:
        return x * 2, str(e)
    return x


@program()
def class_by_type(x):
    made = type("Made", (Vec,), {"a": 3, "get": lambda self: self.a})
    return x * made(1).get(), made.__name__, issubclass(made, Vec)


@program()
def named_tuple_made(x):
    P = collections.namedtuple("P", "a b", defaults=(3,))
    p = P(x)
    return p.a * p.b, P._fields, P.__module__, p._replace(b=2).b, P.__name__


@program()
def named_tuple_typed(x):
    P = NamedTuple("P", [("a", Any), ("b", int)])
    p = P(b=2, a=x)
    return p.a * p.b, P.__module__, P._fields, isinstance(p, tuple)


@program()
def named_tuple_of_bad_names(x):
    try:
        collections.namedtuple("P", "a a")
    except ValueError as e:
        return x * 2, str(e)
    return x


@program()
def enum_made(x):
    Mode = enum.Enum("Mode", "ON OFF", start=3)
    Level = enum.IntEnum("Level", {"LOW": 1, "HIGH": 5})
    return x * Mode.OFF.value + Level.HIGH, [m.name for m in Mode], Mode.__module__, Level(1).name


@program()
def dataclass_made(x):
    Item = dataclasses.make_dataclass("Item", [("v", Any), ("n", int, 2), ("tags", list, field(default_factory=list))])
    item = Item(x)
    item.tags.append("a")
    return item.v * item.n, item.tags, Item.__name__, Item(1) == Item(1), [f.name for f in dataclasses.fields(Item)]


@program(breaks=("native-call",))
def dataclass_made_with_base(x):
    Item = dataclasses.make_dataclass("Item", ["v"], bases=(Vec,))
    return x * 2, Item.__name__


@program()
def property_written_in_steps(x):
    class Layer:
        kept: int = 3
        scale: "float"

        @property
        def weight(self):
            return self.kept

        @weight.setter
        def weight(self, value):
            self.kept = value

        @weight.deleter
        def weight(self):
            self.kept = 0

    layer = Layer()
    layer.weight = x * 2
    y = layer.weight
    del layer.weight
    return y, layer.weight, Layer.__annotations__, dict[str, int](a=1), list[int]([2])


class Keyworded:
    """Takes keywords that name what the interpreter calls its own."""

    def __init_subclass__(cls, /, name=None, body=None, tracer=None, bases=(), **rest):
        super().__init_subclass__(**rest)
        cls.registered = name, body, tracer, bases


@program()
def classes_with_keywords_of_any_name(x):
    class Layer(Keyworded, name="layer", body=1, tracer=2, bases=3):
        pass

    made = type("Made", (Keyworded,), {}, name="made", body=4)
    return x, Layer.registered, made.registered
