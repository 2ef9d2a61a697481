"""Quick binding agrees with the explaining one."""

from __future__ import annotations

from typing import Any

import pytest

import tracegraph as tg
from tracegraph.errors import ArgumentError
from tracegraph.ops import functional as F
from tracegraph.ops.binding import Signature

CALLS: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (F.view, (2, 4), {}),
    (F.view, ((2, 4),), {}),
    (F.view, (8,), {}),
    (F.view, (), {"size": (4, 2)}),
    (F.permute, (0,), {}),
    (F.expand, (3, 8), {}),
    (F.add, (2.0,), {"alpha": 3}),
    (F.sum, (0, True), {}),
    (F.sum, (), {"keepdim": True}),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: f"{c[0].name}{c[1]}{c[2] or ''}")
def test_agreement(call: tuple[Any, tuple[Any, ...], dict[str, Any]]) -> None:
    op, args, kwargs = call
    x = tg.ones(8)
    quick = op.binder.bind_fast(x, *args, **kwargs)
    assert quick == op.binder.bind((x, *args), kwargs)


@pytest.mark.parametrize("args", [(2, "4"), (2.0, 4), (2, (4,)), (None, 4)])
def test_what_cannot_be_spread_out_is_explained(args: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        F.view.binder.bind_fast(tg.ones(8), *args)
    with pytest.raises(ArgumentError, match="view"):
        tg.ones(8).view(*args)


def test_defaults() -> None:
    assert F.add.binder.defaults() == {"alpha": 1}
    assert F.mul.binder.defaults() == {}
    with pytest.raises(ArgumentError, match="size"):
        Signature("f", "(input: Tensor, size: ints)").defaults()
