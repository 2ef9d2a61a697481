"""Changes of a kind that programs seldom make: classes, metaclasses, modules, identity, order, layout.

Each story yields (function, arguments), changes the world and goes on; it is told twice, eagerly and compiled.
"""

from __future__ import annotations

import abc
import builtins
import collections
import enum
import functools
import inspect
import itertools
import math
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from captured import assert_same, capture_of, observe, ramp

import tracegraph as tg
from tracegraph import nn
from tracegraph.tensor import Tensor

Story = Callable[[], Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]]


def x(*shape: int) -> Tensor:
    return ramp(*(shape or (3,)))


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


def order_of_sets():
    def f(t, s):
        return [t * i for i in s]

    for order in ((8, 16), (16, 8)):
        yield f, (x(), frozenset(order))
        grown = set()
        for i in order:
            grown.add(i)
        yield f, (x(), grown)
    large = set(range(100)) - set(range(8)) - set(range(9, 100)) | {0}
    yield f, (x(), large)


def bytes_changed():
    data = bytearray(b"ab")

    def f(t, b):
        return t * b[0], len(b)

    yield f, (x(), data)
    data[0] = 1
    yield f, (x(), data)
    data.append(3)
    yield f, (x(), data)


def length_of_deques():
    def f(t, d):
        d.append(3)
        return t * len(d)

    for limit in (2, None, 5, 6):
        yield f, (x(), collections.deque([1, 2], maxlen=limit))


def equal_constants_may_be_one():
    def f(t, a, b):
        return t * 2 if a is b else t * 3

    one, other = 1.5, float("1.5")
    yield f, (x(), one, one)
    yield f, (x(), one, other)
    text = "a b"
    yield f, (x(), text, text)
    yield f, (x(), text, "".join(["a", " b"]))
    yield f, (x(), None, None)


def identity_of_nan():
    def f(t, a, b):
        return t * 2 if a in [b] else t * 3

    nan = float("nan")
    yield f, (x(), nan, nan)
    yield f, (x(), nan, float("nan"))
    yield f, (x(), 1.0, 1.0)


def strides_of_single_elements():
    def f(t):
        return t * t.stride(0), t.is_contiguous(), t.T.stride()

    yield f, (x(1, 4),)
    yield f, (x(1, 8)[:, :4],)
    yield f, (x(4, 1).T,)


def tensors_of_derived_classes():
    class Plain(Tensor):
        pass

    class Other(Tensor):
        def relu(self):
            return self * 9

    def f(t):
        return t.relu()

    yield f, (x(),)
    yield f, (Plain(np.ones(3, np.float32)),)
    yield f, (Other(np.ones(3, np.float32)),)
    Plain.relu = lambda self: self * 5
    yield f, (Plain(np.ones(3, np.float32)),)


def memory_that_is_read_only():
    def f(t):
        return t.add_(1)

    yield f, (x(),)
    array = np.ones(3, np.float32)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = tg.from_numpy(array)
    yield f, (given,)


def aliases_appear():
    class A:
        def __init__(self):
            self.items = [1]
            self.other = None

    def f(t, a, b, items):
        a.items.append(1)
        items.append(2)
        return t * len(b.items) * len(items), a is b

    yield f, (x(), A(), A(), [1])
    a = A()
    yield f, (x(), a, a, [1])
    b = A()
    yield f, (x(), A(), b, b.items)
    yield f, (x(), A(), A(), [1])


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


def module_parts_exchanged():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("scale", x())
            self.child = nn.ReLU()

        def forward(self, t):
            return self.child(t) * self.scale

    m = M()

    def f(t):
        return m(t)

    yield f, (x(),)
    M.scale = 5
    yield f, (x(),)
    del M.scale
    m.__dict__["_modules"] = {"child": nn.Identity()}
    yield f, (-x(),)
    m._buffers["scale"] = nn.Parameter(tg.zeros(3))
    yield f, (x(),)
    m.__dict__["forward"] = lambda t: t * 4
    yield f, (x(),)


STORIES = {
    name: value
    for name, value in list(globals().items())
    if inspect.isgeneratorfunction(value) and value.__module__ == __name__
}


def told(story: Story, prepare: Callable[[Any], Any]) -> list[Any]:
    """What each call of the story did."""
    functions: dict[int, Any] = {}
    outcomes = []
    for function, args in story():
        prepared, _ = functions.setdefault(id(function), (prepare(function), function))
        outcomes.append(observe(prepared, args))
    return outcomes


@pytest.mark.parametrize("name", sorted(STORIES))
def test_the_next_call_is_right(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = told(STORIES[name], lambda f: f)
        actual = told(STORIES[name], lambda f: capture_of(f, recompile_limit=100))
    assert len(actual) == len(expected) > 1
    for a, e in zip(actual, expected, strict=True):
        assert a.error == e.error
        assert_same(a.result, e.result)
