"""Containers, constants and tensors that change under captured code: order, identity, layout, memory.

Each story yields (function, arguments), changes the world and goes on; see `stories`.
"""

from __future__ import annotations

import collections
import decimal
import warnings

import numpy as np
import pytest
from stories import check, stories_of, x

import tracegraph as tg
from tracegraph import nn
from tracegraph.tensor import Tensor


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


def context_of_decimals():
    third = decimal.Decimal(1)

    def f(t, pair):
        return t * 2, third / 3, decimal.Decimal("2.5") / 7, pair[0] * pair[1]

    pair = (decimal.Decimal("1.234567"), decimal.Decimal("7.654321"))
    with decimal.localcontext() as context:
        yield f, (x(), pair)
        context.prec = 5
        yield f, (x(), pair)
        context.rounding = decimal.ROUND_UP
        yield f, (x(), pair)


def bytes_changed():
    data = bytearray(b"ab")

    def f(t, b):
        return t * b[0], len(b)

    yield f, (x(), data)
    data[0] = 1
    yield f, (x(), data)
    data.append(3)
    yield f, (x(), data)


def equal_constants_of_several_forms():
    def f(t, held):
        return t * 2, repr(held["it"])

    groups = [
        (np.float32(0.0), np.float32(-0.0), np.float32("nan"), np.float32("nan")),
        (np.complex64(0), np.complex64(complex(0, -0.0)), (np.float16(0.0), 1), (np.float16(-0.0), 1)),
        tuple(np.datetime64(text, unit) for text in ("2020-01-01", "NaT") for unit in ("D", "ns")),
        (range(0), range(5, 5), range(0, 2, 3), range(0, 1, 3), int | str, str | int),
    ]
    for constants in groups:
        for constant in constants:
            yield f, (x(), {"it": constant})


def sign_of_zeros_of_numpy():
    def f(t, held):
        return t / held["it"]

    for zero in (np.float32(0.0), np.float32(-0.0), np.float16(-0.0), np.float16(0.0)):
        yield f, (x(), {"it": zero})


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


STORIES = stories_of(globals())


@pytest.mark.parametrize("name", sorted(STORIES))
def test_the_next_call_is_right(name: str) -> None:
    check(STORIES[name])
