"""`backward(inputs=...)`: gradients for some tensors only; and `Variable`."""

import pytest

import tracegraph as tg


def leaves():
    return tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([3.0, 4.0], requires_grad=True)


def only_the_leaves_given(wrap):
    a, b = leaves()
    wrap(lambda a, b: (a * b).exp().mean().backward(inputs=[a]))(a, b)
    return a.grad.tolist(), b.grad


def one_tensor_and_twice(wrap):
    a, b = leaves()

    def program(a, b):
        loss = (a * b).sin().sum()
        loss.backward(inputs=b, retain_graph=True)
        tg.autograd.backward(loss, inputs=[a, b, a])

    wrap(program)(a, b)
    return a.grad.tolist(), b.grad.tolist()


@pytest.mark.parametrize("program", [only_the_leaves_given, one_tensor_and_twice])
def test_captured(program):
    found, wanted = program(lambda f: tg.compile(f, fullgraph=True)), program(lambda f: f)
    for f, w in zip(found, wanted, strict=True):
        assert f == (None if w is None else pytest.approx(w))


def test_inner_tensors_and_hooks():
    a, b = leaves()
    seen = []
    a.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.tolist()))
    h = a * b
    h.sum().backward(inputs=[h, a])
    assert (h.grad.tolist(), a.grad.tolist(), b.grad, seen) == ([1.0, 1.0], [3.0, 4.0], None, [[3.0, 4.0]])


def test_no_inputs():
    with pytest.raises(RuntimeError, match=r"`inputs` argument to `backward\(\)` cannot be empty"):
        leaves()[0].sum().backward(inputs=[])


def test_variables_are_tensors():
    x = tg.ones(2)
    v = tg.autograd.Variable(x, requires_grad=True)
    assert isinstance(v, tg.autograd.Variable) and isinstance(x, tg.autograd.Variable)
    assert v.requires_grad and not x.requires_grad and v.data_ptr() == x.data_ptr()
