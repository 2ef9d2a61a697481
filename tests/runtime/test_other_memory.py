"""Tensors that the program gives other memory (`p.data = other`) between a call and backward: the tape keeps tensors,
and its formulas read what these hold by then; of results it keeps the elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import autograd

Program = Callable[[tg.Tensor, tg.Tensor], Any]
Swap = Callable[..., None]


class Product(autograd.Function):
    @staticmethod
    def forward(ctx: Any, p: tg.Tensor, x: tg.Tensor) -> tg.Tensor:
        ctx.save_for_backward(p, x)
        return p * x

    @staticmethod
    def backward(ctx: Any, g: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        p, x = ctx.saved_tensors
        return g * x * p, g * p * p


def product(p, x):
    return p * p * x


def computed_anew(p, x):
    """Compiled backward keeps `p` and computes the rest again; eager keeps that."""
    return (p.exp() * x * p).sin() * p


def views(p, x):
    return p[1:] * p[:-1] * x[1:]


def written_before_its_use(p, x):
    with tg.no_grad():
        p.mul_(2)
    return p * p * x


def given_other_memory_by_the_call(p, x):
    y = p * p * x
    p.data = x.data * 2
    return y * p


def written_through_data(p, x):
    y = p * x * p
    p.data.mul_(3)
    return y


def with_own_gradient(p, x):
    return Product.apply(p, x) * p


PROGRAMS: list[Program] = [
    product, computed_anew, views, written_before_its_use, given_other_memory_by_the_call, written_through_data,
    with_own_gradient,
]  # fmt: skip


def first(p, x):
    p.data = tg.tensor([5.0, 6.0, 7.0])


def both(p, x):
    first(p, x)
    x.data = p.data * 2


def by_compiled_code(p, x):
    tg.compile(first, fullgraph=True)(p, x)


def twice_and_written(p, x):
    first(p, x)
    p.data = p.data + 1
    p.data.mul_(2)


def gradients(function: Program, swap: Swap, order: int) -> list[Any]:
    """The gradients, of that order, after `swap`; it runs again between the first and the second derivative."""
    p = tg.tensor([0.5, 1.0, 2.0], requires_grad=True)
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    result = function(p, x)
    swap(p, x)
    found = list(tg.autograd.grad((result * result).sum(), (p, x), create_graph=order == 2))
    if order == 2:
        penalty = sum((g * g).sum() for g in found)
        swap(x, p)
        found += tg.autograd.grad(penalty, (p, x))
    return [g.detach().numpy() for g in found]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_formulas_read_the_memory_of_then(program: Program) -> None:
    compiled = tg.compile(program, fullgraph=True)
    for swap in (first, both, by_compiled_code, twice_and_written):
        for order in (1, 2):
            for found, wanted in zip(gradients(compiled, swap, order), gradients(program, swap, order), strict=True):
                np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def branch(p, x):
    return tg.cond(x.sum() > 0, lambda p: p * x * p, lambda p: p * x, (p,))


def inner_result(p, x):
    h = p * x
    return h, h * h


def view_of_it(p, x):
    part = p[1:]
    return part, (part * part).sum()


@pytest.mark.parametrize(
    ("program", "which", "other"),
    [(branch, 0, tg.ones(3)), (inner_result, 2, tg.ones(3)), (view_of_it, 2, tg.ones(2)), (product, 0, tg.ones(1))],
    ids=["control-flow", "result", "view", "another-shape"],
)
def test_what_compiled_code_cannot_read_is_an_error(program: Program, which: int, other: tg.Tensor) -> None:
    p, x = tg.ones(3, requires_grad=True), tg.full((3,), 2.0)
    found = tg.compile(program, fullgraph=True)(p, x)
    results = found if isinstance(found, tuple) else (found,)
    (p, x, *results)[which].data = other
    with pytest.raises(tg.errors.AutogradError, match="was given other memory"):
        results[-1].sum().backward()


def test_what_the_call_itself_assigns_is_read() -> None:
    def program(p: tg.Tensor, x: tg.Tensor) -> tg.Tensor:
        p.data = x.data * 2
        return branch(p, x)

    for function in (program, tg.compile(program, fullgraph=True)):
        p = tg.ones(3, requires_grad=True)
        function(p, tg.full((3,), 2.0)).sum().backward()
        assert p.grad is not None and p.grad.tolist() == [16.0] * 3


def test_elements_that_the_tape_keeps_are_those_of_forward() -> None:
    """The result of `exp` is kept by its elements; that it has other memory by then changes nothing."""
    for function in (tg.exp, tg.compile(tg.exp)):
        x = tg.zeros(3, requires_grad=True)
        y = function(x)
        x.data, y.data = tg.ones(3), tg.ones(3) * 7
        y.sum().backward()
        assert x.grad.tolist() == [1.0, 1.0, 1.0]
