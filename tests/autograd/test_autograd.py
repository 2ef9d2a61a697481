"""The tape: accumulation, grad mode, hooks, in-place writes, views, higher derivatives, errors."""

import gc
import weakref

import pytest

import tracegraph as tg
from tracegraph.autograd import Function, grad, gradcheck


def leaf(*values):
    return tg.tensor(list(values), requires_grad=True, dtype=tg.float64)


def test_gradients_accumulate_until_cleared():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    x.grad = None
    x.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_broadcast_operands_get_summed_gradients():
    x, w = tg.ones(3, 2, requires_grad=True), tg.ones(2, requires_grad=True)
    (x * w).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]
    assert x.grad.shape == (3, 2)


def test_a_value_used_twice():
    x = leaf(3.0)
    y = x * x
    (y * y).sum().backward()
    assert x.grad.item() == 4 * 27


def test_no_grad_and_enable_grad_nest():
    x = leaf(1.0)
    with tg.no_grad():
        assert not (x * 2).requires_grad
        with tg.enable_grad():
            assert (x * 2).requires_grad
    assert tg.is_grad_enabled()

    @tg.no_grad()
    def f(t):
        return t * 2

    assert not f(x).requires_grad
    with pytest.raises(ZeroDivisionError), tg.no_grad():
        1 / 0  # noqa: B018 - only to raise
    assert tg.is_grad_enabled()


def test_detach_stops_gradients_and_shares_memory():
    x = leaf(1.0, 2.0)
    d = x.detach()
    assert not d.requires_grad
    (x * d).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0]


def test_retain_graph():
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_what_keeps_no_elements_can_be_gone_through_again():
    x = leaf(1.0, 2.0)
    wide = x.expand(3, 2)  # as distributions do with their parameters when they are made
    for scale in (leaf(2.0), leaf(5.0)):
        (wide * scale).sum().backward()
    assert x.grad.tolist() == [21.0, 21.0]


def test_errors_name_what_to_do():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="reduce the tensor first"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="neither requires grad"):
        x.detach().sum().backward()
    with pytest.raises(RuntimeError, match=r"shape \[3\]"):
        (x * 2).backward(tg.ones(3))
    with pytest.raises(RuntimeError, match="leaf"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="floating"):
        tg.tensor([1]).requires_grad_()


def test_hooks_see_and_replace_gradients():
    x = leaf(1.0, 2.0)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = x.register_hook(lambda g: g * 10)
    y.retain_grad()
    y.sum().backward()
    assert seen == [[1.0, 1.0]]
    assert x.grad.tolist() == [20.0, 20.0]
    assert y.grad.tolist() == [1.0, 1.0]
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_inplace_change_of_a_saved_value_is_caught():
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="in-place"):
        z.sum().backward()


def test_inplace_change_of_an_unsaved_value_is_fine():
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y + 1
    y.mul_(5)
    (z + y).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]


def test_write_through_a_view_rewrites_the_base():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y[1:].mul_(10)
    y[0] = 7.0
    (y * tg.tensor([1.0, 2.0, 3.0], dtype=tg.float64)).sum().backward()
    assert y.tolist() == [7.0, 40.0, 60.0]
    assert x.grad.tolist() == [0.0, 40.0, 60.0]


def test_views_taken_before_a_write_follow_it():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    view = y[1:]
    y.mul_(10)
    view.sum().backward()
    assert x.grad.tolist() == [0.0, 20.0, 20.0]


def test_second_derivatives():
    x = leaf(2.0)
    (first,) = grad(x * x * x, x, create_graph=True)
    (second,) = grad(first, x)
    assert first.item() == 12
    assert second.item() == 12


def test_grad_of_inner_and_unused_tensors():
    x, unused = leaf(2.0), leaf(1.0)
    y = x * x
    assert grad(y * 3, y)[0].item() == 3
    with pytest.raises(RuntimeError, match="input 0 was not used"):
        grad(x * x, unused)
    assert grad(x * x, [x, unused], allow_unused=True)[1] is None


def test_custom_function_and_gradcheck():
    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x * x * 3

    class Wrong(Cube):
        @staticmethod
        def backward(ctx, g):
            return g

    x = leaf(0.5, -2.0)
    assert gradcheck(Cube.apply, [x])
    with pytest.raises(RuntimeError, match="differs from finite differences"):
        gradcheck(Wrong.apply, [x])


def test_the_tape_does_not_leak():
    x = leaf(1.0)
    y = tg.exp(x)
    watched = weakref.ref(y)
    del y
    assert watched() is None, "a result must not be kept alive by its own history"
    y = tg.exp(x)
    node = weakref.ref(y.grad_fn)
    y.sum().backward()
    del y
    gc.collect()
    assert node() is None


def test_only_inputs_says_nothing():
    def slope(x):
        return tg.autograd.grad(outputs=x.exp(), inputs=x, grad_outputs=tg.ones(2), only_inputs=True)[0]

    x = tg.ones(2, requires_grad=True)
    assert tg.compile(slope, fullgraph=True)(x).tolist() == pytest.approx(slope(x).tolist())
