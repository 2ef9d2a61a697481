"""numpy beside tensors: constants computed with it, arrays as arguments and globals."""

from __future__ import annotations

import numpy as np
from captured import ramp

import tracegraph as tg
from programs import program

TABLE = np.arange(6, dtype=np.float32).reshape(2, 3)


@program()
def scalars(x):
    return x * np.float32(2), x * np.sqrt(2.0), x * np.pi, x * float(np.mean([1, 2, 3])), np.int64(3) + 1


@program()
def shapes(x):
    return x.reshape(int(np.prod(x.shape))), np.prod(x.shape), np.cumsum([1, 2, 3]).tolist(), np.clip(3.0, 0, 1)


@program()
def array_constants(x):
    weights = np.linspace(0.0, 1.0, 3, dtype=np.float32)
    weights[0] = 5.0
    weights *= 2
    mask = np.tril(np.ones((3, 3)), -1)
    return x * tg.tensor(weights), weights.shape, weights.dtype.name, mask.sum(), int(weights.argmax())


@program()
def array_returned(x):
    made = np.array([1.0, 2.0])
    made[1] = 7.0
    return x, made, np.zeros((2, 2), dtype=np.int32), [made, made][0] is made


@program()
def array_as_index(x):
    return x[np.array([0, 1])], x[:, np.argsort([3, 1, 2])]


@program()
def array_operators(x):
    a = np.array([3.0, 1.0, 2.0])
    b = (a - a.mean()) / a.std() @ np.eye(3)
    return x, (a > 1.5).tolist(), b.round(3).tolist(), -a[::-1][0], a.astype(np.int64).tolist(), len(a)


@program()
def loop_over_array(x):
    for i, scale in enumerate(np.array([1.0, 0.5])):
        x = x * float(scale) + i
    return x


@program()
def global_array(x):
    return (
        x + tg.tensor(TABLE),
        tg.from_numpy(TABLE) * x,
        tg.as_tensor(TABLE) - x,
        TABLE.shape,
        TABLE.dtype == np.float32,
    )


@program(
    lambda: (ramp(), np.ones((2, 3), dtype=np.float32)),
    lambda: (ramp(), np.full((2, 3), 2.0, dtype=np.float32)),
    lambda: (ramp(), np.arange(6, dtype=np.float32).reshape(3, 2).T),
    lambda: (ramp(), np.arange(3)),
)
def array_argument(x, a):
    return x * tg.tensor(a) + a.shape[0], a.ndim


@program(lambda: (ramp(), np.ones((2, 3), dtype=np.float32)))
def array_argument_written_through(x, a):
    shared = tg.from_numpy(a)
    shared += x
    copy = tg.tensor(a)
    copy *= 2
    return shared * 1, copy


@program(lambda: (ramp(), np.arange(3)), breaks=None)
def array_elements(x, a):
    return x * float(a.sum()), a[1] + 1


@program(breaks=None)
def tensor_to_array(x):
    values = (x * 2).numpy()
    return values.max(), tg.tensor(values + 1)


@program(breaks=None)
def array_with_tensor(x):
    try:
        return np.sin(x)
    except TypeError:
        return "refused", x


@program(breaks=None)
def random_array(x):
    np.random.seed(0)
    return x * float(np.random.rand())


SCHEDULE = np.linspace(1.0, 0.1, 8)


@program(
    *(lambda i=i: (ramp(), i) for i in (1, 2, 5)),
)
def rate_of_a_schedule(x, i):
    rate = SCHEDULE[i]
    return x * rate, x - rate / (1 - SCHEDULE[i - 1] / 2), rate, type(rate), float(rate), SCHEDULE[:i], len(SCHEDULE)


@program(*(lambda k=k: (ramp(), np.array([k, 2.0, 3.0]), np.arange(3.0) - k) for k in (0.5, 1.5, 2.5)))
def functions_of_arrays(x, a, b):
    both = np.concatenate([a, b])
    normal = (both - both.mean()) / both.std(ddof=1)
    clipped = np.where(normal > 0, normal, 0.0).astype(np.float32)
    return np.sin(a) + a.sum(axis=0), normal.shape, x * tg.from_numpy(clipped[:3]), a @ b, a.tolist(), np.sort(b)[::-1]


@program(*(lambda k=k: (ramp(), np.array([k, 2.0])) for k in (0.5, 1.5, 2.5)))
def loop_over_an_argument(x, scales):
    for i, scale in enumerate(scales):
        x = x * scale + i
    return x, [s > 1 for s in scales], bool(scales.any()), scales[-1] if len(scales) else None


@program(*(lambda k=k: (ramp(), np.array([k, 0])) for k in (0, 1)))
def array_argument_as_index(x, positions):
    return x[positions], x[:, positions], x[tg.from_numpy(positions)]


@program(lambda: (ramp(), np.ones((2, 3), dtype=np.float32)), breaks=None)
def array_read_after_a_write(x, a):
    before = a.sum()
    shared = tg.from_numpy(a)
    shared += x
    return before, a.sum(), a[0, 0]


@program(lambda: (ramp(), np.ones((2, 3), dtype=np.float32)), breaks=None)
def views_of_a_written_array(x, a):
    row = a[1:]
    shared = tg.from_numpy(a)
    shared += x
    return tg.from_numpy(row) * 2, row


def _shared():
    a = np.ones((2, 3), dtype=np.float32)
    return tg.from_numpy(a), a


@program(_shared, breaks=None)
def array_beside_its_tensor(t, a):
    t.add_(1)
    return tg.from_numpy(a) * 2


@program(lambda: (ramp(), np.arange(4.0)), breaks=None)
def array_changed_in_place(x, a):
    b = np.sqrt(a)
    b[0] = 5
    b += 1
    np.add(b, 1, out=b)
    a[1] = 7
    return b, a, x * float(b[0])
