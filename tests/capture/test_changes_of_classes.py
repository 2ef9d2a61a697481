"""Classes that change under captured code: bases, metaclasses, descriptors, members, registration.

Each story yields (function, arguments), changes the world and goes on; see `stories`.
"""

from __future__ import annotations

import abc
import enum
import types

import pytest
from stories import check, stories_of, x


def base_classes_replaced():
    class A:
        scale = 2

    class B:
        scale = 3

    class C(A):
        pass

    def f(t, c):
        kind = 1 if isinstance(c, A) else 2 if issubclass(type(c), B) else 3
        return t * c.scale * kind * len(type(c).__mro__)

    c = C()
    yield f, (x(), c)
    C.__bases__ = (B,)
    yield f, (x(), c)
    C.__bases__ = (type("D", (A,), {}),)
    yield f, (x(), c)


def dict_of_attributes():
    def reads_attribute(t, o, d):
        d["k"] = 5
        return t * o.k, d["k"]

    def reads_item(t, o, d):
        o.k = 5
        return t * d["k"], o.k

    def writes_both(t, o, d):
        d["new"] = 5
        o.new = 7
        return t, d["new"]

    def deletes(t, o, d):
        del d["k"]
        return t, hasattr(o, "k")

    for f in (reads_attribute, reads_item, writes_both, deletes):
        for make in (types.SimpleNamespace, Holder):
            o = make(k=2)
            yield f, (x(), o, {"k": 2})
            o = make(k=2)
            yield f, (x(), o, o.__dict__)
            o = make(k=2)
            yield f, (x(), o, {"k": 2})
        module = types.ModuleType("module")
        module.__dict__.clear()
        module.k = 2
        yield f, (x(), module, module.__dict__)


class Holder:
    def __init__(self, k):
        self.k = k


def class_renamed():
    class A:
        pass

    def f(t, a):
        return t * 2 if type(a).__name__ == "A" else t * 3

    a = A()
    yield f, (x(), a)
    A.__name__ = "B"
    yield f, (x(), a)


def descriptor_takes_precedence():
    class D:
        def __get__(self, instance, cls):
            return 11

    class A:
        k = D()

    def f(t, a):
        return t * a.k

    a = A()
    a.__dict__["k"] = 2
    yield f, (x(), a)
    D.__set__ = lambda self, instance, value: None
    yield f, (x(), a)
    del D.__set__
    yield f, (x(), a)


def missing_replaced():
    class D(dict):
        def __missing__(self, key):
            return 5

    def f(t, d):
        return t * d["q"]

    yield f, (x(), D())
    D.__missing__ = lambda self, key: 6
    yield f, (x(), D())
    yield f, (x(), D(q=1))


def class_subscripts():
    class A:
        def __class_getitem__(cls, key):
            return key

    def f(t):
        return t * A[2]

    yield f, (x(),)
    A.__class_getitem__ = classmethod(lambda cls, key: key + 5)
    yield f, (x(),)


def operators_of_metaclasses():
    class Meta(type):
        n = 2

        def __iter__(cls):
            return iter(range(Meta.n))

        def __len__(cls):
            return Meta.n

        def __eq__(cls, other):
            return Meta.n == 3

        __hash__ = type.__hash__

    class A(metaclass=Meta):
        pass

    def f(t):
        for i in A:
            t = t + i
        return t * len(A), A == 1, 2 if A else 3

    yield f, (x(),)
    Meta.n = 3
    yield f, (x(),)
    Meta.n = 0
    yield f, (x(),)


def metaclass_exchanged():
    class First(type):
        pass

    class Second(type):
        def __call__(cls):
            return 5

        @property
        def scale(cls):
            return 7

    class A(metaclass=First):
        def __rmul__(self, other):
            return other * 2

    def f(t):
        return t * A() * getattr(A, "scale", 2)

    yield f, (x(),)
    A.__class__ = Second
    yield f, (x(),)


def finalizer_added():
    class A:
        pass

    log = []

    def f(t):
        A()
        return t * 2, len(log)

    yield f, (x(),)
    A.__del__ = lambda self: log.append(1)
    yield f, (x(),)
    yield f, (x(),)


def enum_members_changed():
    class E(enum.Enum):
        A = 2
        B = [3]

        def scale(self):
            return 1

    class F(enum.Enum):
        A = 9

        @property
        def value(self):
            return 100

        def scale(self):
            return 4

    def f(t, e):
        return t * E.A.value * E.B.value[0] * e.scale() * F.A.value, e.name

    member = E.A
    yield f, (x(), member)
    E.B.value[0] = 7
    yield f, (x(), member)
    E.A._value_ = 5
    yield f, (x(), member)
    member.__class__ = F
    yield f, (x(), member)


def texts_of_members_changed():
    class E(enum.Enum):
        A = 2

    class F(enum.IntEnum):
        A = 1

    def f(t):
        return t * 2, [(str(m), repr(m), f"{m}", str([m]), format(m)) for m in (E.A, F.A)]

    yield f, (x(),)
    E.__str__ = F.__str__ = lambda self: "str"
    yield f, (x(),)
    E.__repr__ = F.__repr__ = lambda self: "repr"
    yield f, (x(),)
    E.__format__ = F.__format__ = lambda self, spec: "format"
    yield f, (x(),)


def texts_of_classes_changed():
    class A:
        pass

    def f(t):
        return t * 2, str(A), f"{A}", str([A])

    yield f, (x(),)
    A.__qualname__ = "Other"
    yield f, (x(),)
    A.__module__ = "elsewhere"
    yield f, (x(),)


def registered_with_an_abstract_class():
    class B:
        pass

    kind = abc.ABCMeta("A", (), {})

    def f(t, o):
        return t * 2 if isinstance(o, kind) else t * 3

    b = B()
    yield f, (x(), b)
    kind.register(B)
    yield f, (x(), b)


def classes_with_reused_ids():
    def f(t, a):
        return t * a.scale

    for k in (2, 3, 4, 5):
        yield f, (x(), type("A", (), {"scale": k})())


STORIES = stories_of(globals())


@pytest.mark.parametrize("name", sorted(STORIES))
def test_the_next_call_is_right(name: str) -> None:
    check(STORIES[name])
