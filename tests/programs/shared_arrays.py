"""Tensors that share the memory of arrays which the captured code makes."""

from __future__ import annotations

from typing import Any

import numpy as np

import tracegraph as tg
from programs import program
from tracegraph.tensor import Tensor


@program()
def constants(x: Tensor) -> Any:
    offsets = np.arange(6).reshape(2, 3)
    return x + tg.from_numpy(offsets), tg.from_numpy(np.array(3.0)), tg.as_tensor(np.ones(3), dtype=tg.float32)


@program()
def written_through_the_tensor(x: Tensor) -> Any:
    a = np.zeros(3)
    t = tg.from_numpy(a)
    t += x[0]
    return t, a, tg.as_tensor(a) is t


@program()
def as_tensor_shares(x: Tensor) -> Any:
    a = np.zeros(3, dtype=np.float32)
    t, u = tg.as_tensor(a), tg.from_numpy(a)
    t.add_(x[0])
    return u, a, tg.tensor(np.linspace(0.0, 1.0, 3))


@program()
def views_made_before(x: Tensor) -> Any:
    a = np.arange(6.0)
    b = a[::2]
    c, parts = b[::-1], np.split(a, 2)
    t = tg.from_numpy(b)
    t.mul_(2)
    return x, a, b, c, parts, t, t.stride()


@program()
def views_made_after(x: Tensor) -> Any:
    a = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    t = tg.from_numpy(a)
    b = a[:, 1:]
    t.add_(1)
    return x + t, a, b, a.shape, t.stride()


@program(breaks=("unsupported-value",))
def written_through_the_array(x: Tensor) -> Any:
    a = np.zeros(3)
    a[0] = 4
    t = tg.from_numpy(a)
    a[1] = 5
    y = x + t
    a += 1
    return y, t, a


@program(breaks=("native-call",))
def read_after_a_write(x: Tensor) -> Any:
    a = np.zeros(3)
    before = a.sum()
    t = tg.from_numpy(a)
    t += 1
    return x, before, a.sum()


@program(breaks=("native-call", "opaque-iterator"))
def iterated_while_written(x: Tensor) -> Any:
    a, seen = np.arange(3.0), []
    t = tg.from_numpy(a)
    for v in a:
        t.add_(1)
        seen.append(float(v))
    return seen, t, x


GIVEN = np.arange(3.0)


@program(breaks=("native-call", "opaque-iterator"))
def given_and_iterated_while_written(x: Tensor) -> Any:
    t, seen = tg.from_numpy(GIVEN), []
    pairs = zip(GIVEN, range(3), strict=True)
    t.fill_(7)
    seen += [(float(v), i) for v, i in pairs]
    t.copy_(tg.arange(3))
    return seen, t, x


@program()
def rows_as_tensors(x: Tensor) -> Any:
    table = np.arange(6.0).reshape(2, 3)
    return [x + tg.from_numpy(row) for row in table], [int(v) for v in np.array([3, 4])], list(zip(table, [1, 2]))


@program()
def in_a_loop(x: Tensor) -> Any:
    for i in range(3):
        x = x + tg.from_numpy(np.full(3, float(i)))
    return x


@program()
def decides(x: Tensor) -> Any:
    a = np.arange(3.0)
    t = tg.from_numpy(a)
    return x + t if a[1] > 0 else x


@program(breaks=("side-effect", "unsupported-value"))
def around_a_break(x: Tensor) -> Any:
    a = np.zeros(3)
    t = tg.from_numpy(a)
    t += 1
    print(a)
    a += 1
    return x + t, a


@program()
def break_between_items(x: Tensor) -> Any:
    total, rows = 0.0, []
    for v in np.arange(3.0):
        total += float(v)
        x = x * total
    for row, scale in zip(GIVEN[None], np.ones(2), strict=False):
        rows.append(x + tg.from_numpy(row) * scale)
    return x, rows


@program(breaks=("native-call",))
def read_only(x: Tensor) -> Any:
    return x + tg.from_numpy(np.broadcast_to(np.ones(1), (3,)))
