"""Quick binding agrees with the explaining one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.errors import ArgumentError
from tracegraph.ops import functional as F
from tracegraph.ops.core.binding import Signature

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


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.reshape(2.5, 2), TypeError, r"reshape: argument 'shape' must be an int, got 2.5 \(float\)"),
        (lambda x: x.exp(1), TypeError, "takes 1 positional argument, got 2"),
        (F.cat, TypeError, r"list or tuple of Tensors, got Tensor of shape \[8\] and dtype float32"),
        (lambda x: F.exp([1.0]), TypeError, r"got \[1.0\] \(list\); wrap it with tracegraph.tensor"),
        (lambda x: F.exp(None), TypeError, "must be a Tensor, got None$"),
        (lambda x: F.exp(np.zeros(500)), TypeError, r"got ndarray of shape \[500\] and dtype float64; wrap it"),
        (lambda x: F.clamp(x, "a"), TypeError, "must be a Tensor, a number or None, got 'a'"),
        (lambda x: F.sum(x, list(range(100, 200))), IndexError, "dim=100 is out of range"),
    ],
)
def test_errors_name_the_argument_and_what_it_is(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call(tg.ones(8))
    assert caught.value.__context__ is None, "one error, not one that arose during another"
