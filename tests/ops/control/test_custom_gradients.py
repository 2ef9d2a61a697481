"""`custom_vjp` as a function: on eager tensors, in captured code, and its errors."""

from __future__ import annotations

from typing import Any

import pytest

import tracegraph as tg
from tracegraph.autograd import grad
from tracegraph.errors import ArgumentError, ControlFlowError


def reversed_gradient(x: tg.Tensor, factor: tg.Tensor) -> tg.Tensor:
    (y,) = tg.custom_vjp([x * 2], [x], lambda g: (-g * factor,))
    return y


@pytest.mark.parametrize("compile", [False, True])
def test_the_gradient_is_what_the_function_makes_of_it(compile: bool) -> None:
    function = tg.compile(reversed_gradient, fullgraph=True) if compile else reversed_gradient
    x, factor = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([3.0, 4.0], requires_grad=True)
    y = function(x, factor)
    assert y.tolist() == [2.0, 4.0]
    of_x, of_factor = grad(y.sum(), [x, factor], create_graph=True, allow_unused=True)
    assert of_x is not None
    assert of_x.tolist() == [-3.0, -4.0]
    assert of_factor is None
    (second,) = grad(of_x.sum(), factor)
    assert second.tolist() == [-1.0, -1.0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: tg.custom_vjp([], [x], lambda g: (g,)), ArgumentError, "lists of tensors"),
        (lambda x: tg.custom_vjp([x], [3], lambda g: (g,)), ArgumentError, "lists of tensors"),
        (lambda x: tg.custom_vjp([x] * 4, [x], lambda *g: (g[0],), False), ArgumentError, "more than 3 outputs"),
        (lambda x: tg.custom_vjp([x], [x], lambda g: g), ControlFlowError, "must return a tuple of 1 tensors or None"),
        (lambda x: tg.custom_vjp([x], [x], lambda g: (g, g)), ControlFlowError, "a tuple of 1 tensors or None"),
        (
            lambda x: tg.custom_vjp([x], [x], lambda g: (x.add_(g),)),
            ControlFlowError,
            "writes to a tensor from outside",
        ),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(tg.ones(2, requires_grad=True) * 1)
