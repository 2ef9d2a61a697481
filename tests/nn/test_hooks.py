"""Hooks around forward and backward."""

import copy

import tracegraph as tg
from tracegraph import nn


class Double(nn.Module):
    def forward(self, x, plus=0.0):
        return 2 * x + plus


def test_forward_hooks_see_and_replace():
    m = Double()
    pre = m.register_forward_pre_hook(lambda module, args: args[0] + 1)
    post = m.register_forward_hook(lambda module, args, output: output * 10)
    assert m(tg.tensor(1.0)).item() == 40.0
    pre.remove()
    assert m(tg.tensor(1.0)).item() == 20.0
    post.remove()
    assert m(tg.tensor(1.0)).item() == 2.0


def test_hooks_may_take_keyword_arguments_and_go_first():
    m, order = Double(), []
    m.register_forward_pre_hook(lambda module, args: order.append("second"))
    m.register_forward_pre_hook(
        lambda module, args, kwargs: (order.append("first"), (args, {"plus": 5.0}))[1], with_kwargs=True, prepend=True
    )
    seen = []
    m.register_forward_hook(lambda module, args, kwargs, output: seen.append(kwargs), with_kwargs=True)
    assert m(tg.tensor(1.0), plus=1.0).item() == 7.0
    assert order == ["first", "second"]
    assert seen == [{"plus": 5.0}]


def test_backward_hooks_see_both_sides_and_replace():
    m, seen = Double(), []
    m.register_full_backward_hook(lambda module, grad_in, grad_out: seen.append((grad_in[0], grad_out[0])))
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (m(x) * tg.tensor([1.0, 3.0])).sum().backward()
    ((grad_in, grad_out),) = seen
    assert grad_out.tolist() == [1.0, 3.0]
    assert grad_in.tolist() == x.grad.tolist() == [2.0, 6.0]
    m.register_full_backward_hook(lambda module, grad_in, grad_out: (grad_in[0] * 100,))
    m.register_full_backward_pre_hook(lambda module, grad_out: (grad_out[0] * 5,))
    x.grad = None
    m(x).sum().backward()
    assert x.grad.tolist() == [1000.0, 1000.0]


def test_backward_hooks_without_gradients_of_the_inputs():
    m, seen = nn.Linear(2, 1), []
    m.register_full_backward_hook(lambda module, grad_in, grad_out: seen.append((grad_in, grad_out[0].tolist())))
    m(tg.ones(1, 2)).sum().backward()
    assert seen == [((None,), [[1.0]])]
    with tg.no_grad():
        m(tg.ones(1, 2))
    assert len(seen) == 1


def test_copies_have_hooks_of_their_own():
    m = Double()
    m.register_forward_hook(lambda module, args, output: output + 1)
    other = copy.deepcopy(m)
    other._forward_hooks.clear()
    assert m(tg.tensor(1.0)).item() == 3.0
    assert other(tg.tensor(1.0)).item() == 2.0
