"""Tensors that change their own shape, and what becomes of their views and histories."""

from __future__ import annotations

import pytest

import tracegraph as tg


def test_shapes_and_elements() -> None:
    x = tg.arange(6).reshape(2, 3)
    assert x.t_() is x
    assert x.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert x.transpose_(0, 1).swapaxes_(0, 1).shape == (3, 2)
    assert x.unsqueeze_(0).shape == (1, 3, 2)
    assert x.squeeze_(0).squeeze_().shape == (3, 2)


def test_memory_stays_shared() -> None:
    x = tg.zeros(3)
    view = x[1:]
    x.unsqueeze_(0)
    view.add_(1)
    assert x.tolist() == [[0, 1, 1]]
    x.mul_(2)
    assert view.tolist() == [2, 2]


def test_history_through_the_new_shape_and_through_older_views() -> None:
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = w * 2
    view = x[1:]
    x.unsqueeze_(0)
    view.mul_(5)
    (x * tg.tensor([[1.0, 2.0, 3.0]])).sum().backward()
    assert w.grad.tolist() == [2, 20, 30]


def test_what_the_tape_saved_is_protected() -> None:
    x = tg.ones(3, requires_grad=True) * 2
    y = x * x
    x.unsqueeze_(0)
    with pytest.raises(RuntimeError, match="was modified by an in-place operation"):
        y.sum().backward()


def test_leaves() -> None:
    w = tg.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="cannot change its shape in place"):
        w.unsqueeze_(0)
    with tg.no_grad():
        w.unsqueeze_(0)
    assert w.shape == (1, 3)
    assert w.requires_grad
    assert w.is_leaf


def test_detach_in_place() -> None:
    x = tg.ones(3, requires_grad=True) * 2
    view = x[1:]
    with pytest.raises(RuntimeError, match="view"):
        view.detach_()
    assert x.detach_() is x
    assert x.is_leaf
    assert not x.requires_grad


def test_compiled_functions() -> None:
    @tg.compile(fullgraph=True)
    def f(x: tg.Tensor) -> tg.Tensor:
        y = x + 1
        y.unsqueeze_(0)
        return y * 2

    assert f(tg.ones(2)).tolist() == [[4, 4]]
