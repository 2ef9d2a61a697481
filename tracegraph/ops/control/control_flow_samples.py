"""Sample calls of the control-flow ops: the functions that the generated tests give them."""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle
from tracegraph.ops.core.samples import A, call, samples

_PRED = A((), dtype=dtypes.bool_)


def _scaled(x: Handle, y: Handle) -> Handle:
    return (x * y).sin()


def _added(x: Handle, y: Handle) -> Handle:
    return x + 2 * y


def _sum_and_rest(x: Handle) -> tuple[Any, ...]:
    return x.sum(), [x.exp(), None]


def _first_and_same(x: Handle) -> tuple[Any, ...]:
    return x[0], [x, None]


def _ones() -> Handle:
    return F.ones((2, 3))


def _zeros() -> Handle:
    return F.zeros((2, 3))


COND = samples(
    # two draws of the condition
    call(_PRED, _scaled, _added, [A((3, 4)), A((4,))]),
    call(_PRED, _scaled, _added, [A((3, 4)), A((4,))]),
    call(_PRED, _ones, _zeros),
    call(A((1,), dtype=dtypes.int64), _sum_and_rest, _first_and_same, [A((5,))]),
)


def _is_small(i: Handle, x: Handle) -> Handle:
    return i < 4


def _doubled(i: Handle, x: Handle) -> tuple[Handle, Handle]:
    return i + 1, x + x


WHILE_LOOP = samples(
    call(_is_small, _doubled, [A((), 0, 2, dtype=dtypes.int64), A((3, 4))], dtypes=dtypes.ALL[1:], differentiable=False)
)


def _running(carry: Handle, x: Handle) -> tuple[Handle, Handle]:
    carry = carry + x
    return carry, carry * x


def _counted(carry: list[Handle], x: Handle) -> tuple[list[Handle], None]:
    count, h = carry
    return [count + 1, (h + x.sum()).tanh()], None


def _composed(f: list[Handle], g: list[Handle]) -> list[Handle]:
    """The linear functions a x + b as pairs [a, b]: g after f."""
    return [f[0] * g[0], f[1] * g[0] + g[1]]


ASSOCIATIVE_SCAN = samples(
    call(_composed, [A((7, 2)), A((7, 2))]),
    call(_composed, [A((2, 6)), A((2, 6))], 1, True),
    call(lambda a, b: a * b, A((1, 3))),
    call(lambda a, b: a.maximum(b), A((2, 3), distinct=True), dtypes=dtypes.ALL[1:]),
)

SCAN = samples(
    call(_running, A((3,)), A((5, 3))),
    call(_running, A((3,)), A((3, 5)), 1, True),
    call(_counted, [A((), dtype=dtypes.int64), A((4,))], A((6, 2))),
    call(lambda carry, x: (carry, x * carry), A((2, 1)), A((4, 2, 3))),
)
