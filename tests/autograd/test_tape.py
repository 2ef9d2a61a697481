"""What the tape keeps of operands and results, and how it notices that they were written to."""

from __future__ import annotations

import gc
import weakref

import pytest

import tracegraph as tg
from tracegraph.autograd.tape import OpNode, edge_to
from tracegraph.errors import AutogradError


def leaf(*values: float) -> tg.Tensor:
    return tg.tensor(values, requires_grad=True)


def test_edges() -> None:
    x = leaf(1.0, 2.0)
    assert edge_to(3) is edge_to(tg.ones(2)) is None
    assert edge_to(x) == (None, 0, x)
    y = x * 2
    assert edge_to(y) == (y.grad_fn, 0, None)
    assert (y + 1).grad_fn.next_functions == ((y.grad_fn, 0), (None, 0))


def test_operands_that_are_not_read_are_not_kept() -> None:
    x = leaf(1.0, 2.0)
    first, second = x * 2, x * 3
    alive = weakref.ref(first)
    total = first + second
    del first
    gc.collect()
    assert alive() is None
    total.sum().backward()
    assert x.grad.tolist() == [5, 5]


def test_operands_that_are_read_are_kept() -> None:
    x = leaf(1.0, 2.0)
    other = x.detach() * 3
    product = x * other
    del other
    product.sum().backward()
    assert x.grad.tolist() == [3, 6]


@pytest.mark.parametrize("through_view", [False, True])
def test_a_write_to_a_kept_operand_is_noticed(through_view: bool) -> None:
    x, other = leaf(1.0, 2.0), tg.ones(2)
    product = x * other  # `other` has no storage of its own yet
    (other[:1] if through_view else other).add_(1)
    with pytest.raises(AutogradError, match=r"an operand of mul, of shape \[2\].*version 0, now 1"):
        product.sum().backward()


def test_a_write_to_a_kept_result_is_noticed() -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    with tg.no_grad():
        y.mul_(2)
    with pytest.raises(AutogradError, match="the result of exp"):
        y.sum().backward()


def test_a_write_to_what_is_not_read_goes_unnoticed() -> None:
    x, other = leaf(1.0, 2.0), tg.ones(2)
    total = x + other
    other.add_(1)
    total.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_only_what_the_wanted_gradients_read_matters() -> None:
    x, other = leaf(1.0, 2.0), tg.ones(2)
    product = other * x  # the gradient of x reads `other`, nobody asks for that of `other`
    with tg.no_grad():
        x.add_(1)
    product.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_results_make_no_cycle() -> None:
    y = leaf(1.0).exp()
    assert isinstance(y.grad_fn, OpNode)
    alive = weakref.ref(y)
    gc.disable()
    try:
        del y
        assert alive() is None
    finally:
        gc.enable()


def test_hooks_on_results_of_a_node() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    assert y.grad_fn.hooks is None
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert x.grad.tolist() == [20, 20]


CHOICES = {
    "topk": lambda x: x.topk(2),
    "sort": lambda x: x.sort(),
    "max": lambda x: x.max(1),
    "kthvalue": lambda x: x.kthvalue(2),
    "cummax": lambda x: x.cummax(1),
}


@pytest.mark.parametrize("name", CHOICES)
def test_chosen_values_may_be_overwritten(name: str) -> None:
    """The gradients of ops that give values and positions read the positions only."""
    choose, rows = CHOICES[name], [[3.0, 1.0, 2.0], [4.0, 6.0, 5.0]]
    x, y = (tg.tensor(rows, requires_grad=True) for _ in range(2))
    values, _ = choose(x * 2)
    values *= 3
    values.sum().backward()
    (choose(y * 2)[0] * 3).sum().backward()
    assert tg.equal(x.grad, y.grad)
    values, positions = choose(x * 2)
    positions.add_(0)
    with pytest.raises(AutogradError, match="modified by an in-place operation"):
        values.sum().backward()
