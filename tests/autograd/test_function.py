"""`autograd.Function` on the tape: both styles, what `ctx` can do, and the errors."""

from __future__ import annotations

from typing import Any

import pytest

import tracegraph as tg
from tracegraph.autograd import Function, grad, once_differentiable
from tracegraph.errors import ArgumentError, AutogradError


def leaf(*values: float) -> tg.Tensor:
    return tg.tensor(values or (1.0, 2.0, 3.0), requires_grad=True)


def function(forward: Any, backward: Any = lambda ctx, *gs: gs[0], **members: Any) -> type[Function]:
    return type("Fn", (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward), **members})


def test_both_styles_take_keywords_and_defaults() -> None:
    given = []

    def setup_context(ctx, inputs, output):
        given.append((inputs[1:], output.requires_grad))

    scaled = function(lambda x, k=2.0: x * k, lambda ctx, g: (g * 5, None), setup_context=staticmethod(setup_context))
    x = leaf()
    assert scaled.apply(x).tolist() == [2.0, 4.0, 6.0]
    y = scaled.apply(k=3.0, x=x)
    y.sum().backward()
    assert given == [((2.0,), False), ((3.0,), False)]
    assert x.grad is not None
    assert x.grad.tolist() == [5.0] * 3
    assert function(lambda ctx, x, k: x * k, lambda ctx, g: (g, None)).apply(k=2.0, x=x).requires_grad


def test_absent_gradients_are_zeros_or_none() -> None:
    for materialize, wanted in ((True, [0.0, 0.0]), (False, None)):
        seen: list[Any] = []

        def forward(ctx, x, materialize=materialize):
            ctx.set_materialize_grads(materialize)
            return x * 2, x[:2] * 3, 5

        def backward(ctx, g, h, number, seen=seen):
            seen.extend([h if h is None else h.tolist(), number])
            return g

        function(forward, backward).apply(leaf())[0].sum().backward()
        assert seen == [wanted, None]


def test_needs_input_grad_and_gradients_that_are_not_needed() -> None:
    seen = []

    def backward(ctx, g):
        seen.append(ctx.needs_input_grad)
        return g, None, g * 2

    x, w = leaf(), tg.ones(3)
    function(lambda ctx, x, k, w: x * w * k, backward).apply(x, 2, w).sum().backward()
    assert seen == [(True, False, False)]
    assert w.grad is None


def test_results_that_are_not_differentiable() -> None:
    def forward(ctx, x):
        order = x * 2
        ctx.mark_non_differentiable(order)
        return order, x.long(), x * 3

    order, integers, y = function(forward, lambda ctx, a, b, g: g + a).apply(leaf())
    assert (order.requires_grad, integers.requires_grad, y.requires_grad) == (False, False, True)
    y.sum().backward()


def test_a_result_that_is_an_argument_is_an_alias() -> None:
    x = leaf()
    h = x * 1
    y = function(lambda ctx, x: x, lambda ctx, g: -g).apply(h)
    assert y is not h
    assert y.data_ptr() == h.data_ptr()
    version = y._version
    with tg.no_grad():
        h.mul_(2)
    assert (y.tolist(), y._version) == ([2.0, 4.0, 6.0], version + 1)
    (g,) = grad(y.sum(), x)
    assert g.tolist() == [-1.0] * 3


def test_a_result_that_is_a_view_of_an_argument() -> None:
    x = leaf()
    y = function(lambda ctx, x: x[1:], lambda ctx, g: tg.cat([g[:1], g]) * 7).apply(x)
    assert y.data_ptr() == x[1:].data_ptr()
    (g,) = grad(y.sum(), x)
    assert g.tolist() == [7.0] * 3


def test_mark_dirty() -> None:
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.mul_(2)
        return x

    doubled = function(forward, lambda ctx, g: g * 5)
    x = leaf()
    h = x * 1
    y = doubled.apply(h)
    assert y is h
    assert y.tolist() == [2.0, 4.0, 6.0]
    (g,) = grad((h * 3).sum(), x)
    assert g.tolist() == [15.0] * 3
    with pytest.raises(AutogradError, match="leaf"):
        doubled.apply(leaf())

    def forgets(ctx, x):
        ctx.mark_dirty(x)
        return x * 2

    with pytest.raises(AutogradError, match="mark_dirty"):
        function(forgets).apply(x * 1)


def test_mark_dirty_of_a_view_reaches_its_base() -> None:
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.mul_(2)
        return x

    x = leaf()
    h = x * 1
    function(forward, lambda ctx, g: g * 5).apply(h[:2])
    (g,) = grad(h.sum(), x)
    assert g.tolist() == [5.0, 5.0, 1.0]


def test_gradients_take_the_form_of_their_inputs() -> None:
    x, b = leaf(), tg.ones(1, requires_grad=True)
    y = function(lambda ctx, x, b: x + b, lambda ctx, g: (g.double(), g)).apply(x, b)
    gx, gb = grad(y.sum(), [x, b])
    assert (gx.dtype, gb.tolist()) == (tg.float32, [3.0])


def test_trailing_none_is_no_gradient() -> None:
    x = leaf()
    function(lambda ctx, x: x * 2, lambda ctx, g: (g, None, None)).apply(x).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        (lambda ctx, g: (g, g), r"FnBackward returned an incorrect number of gradients \(expected 1, got 2\)"),
        (lambda ctx, g: g[:2], r"invalid gradient at index 0: got shape \[2\], expected \[3\]"),
        (lambda ctx, g: 3.0, "returned a float at index 0"),
    ],
)
def test_gradients_that_are_refused(backward: Any, message: str) -> None:
    y = function(lambda ctx, x: x * 2, backward).apply(leaf())
    with pytest.raises(AutogradError, match=message):
        y.sum().backward()


def test_only_tensors_are_saved() -> None:
    def forward(ctx, x):
        ctx.save_for_backward(x, None)
        with pytest.raises(ArgumentError, match="got int"):
            ctx.save_for_backward(3)
        return x * 2

    def backward(ctx, g):
        x, nothing = ctx.saved_tensors
        assert nothing is None
        return g * x

    x = leaf()
    y = function(forward, backward).apply(x)
    with tg.no_grad():
        x.mul_(2)
    with pytest.raises(AutogradError, match="modified by an in-place"):
        y.sum().backward()


def test_once_differentiable() -> None:
    once = function(lambda ctx, x: x * 2, once_differentiable(lambda ctx, g: g * 2))
    x = leaf()
    once.apply(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0] * 3
    (g,) = grad(once.apply(x), x, tg.ones(3, requires_grad=True), create_graph=True)
    with pytest.raises(AutogradError, match="once_differentiable"):
        g.sum().backward()
