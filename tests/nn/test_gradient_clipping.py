"""Clipping of gradients by norm and by value."""

import math

import pytest

import tracegraph as tg
from tracegraph import nn


def parameters(*gradients):
    found = []
    for g in gradients:
        p = nn.Parameter(tg.zeros(len(g)))
        p.grad = tg.tensor(g)
        found.append(p)
    return [*found, nn.Parameter(tg.zeros(1))]  # one without a gradient


def test_the_common_norm_is_bounded():
    ps = parameters([3.0, 0.0], [4.0])
    assert nn.utils.clip_grad_norm_(ps, 1.0).item() == 5.0
    assert ps[0].grad.tolist() == pytest.approx([0.6, 0.0], rel=1e-5)
    assert ps[1].grad.tolist() == pytest.approx([0.8], rel=1e-5)


def test_short_gradients_stay():
    ps = parameters([0.3], [0.4])
    nn.utils.clip_grad_norm_(ps, 10.0)
    assert ps[0].grad.item() == pytest.approx(0.3)


@pytest.mark.parametrize(("order", "norm"), [(1.0, 7.0), (math.inf, 4.0)])
def test_other_norms(order, norm):
    assert nn.utils.clip_grad_norm_(parameters([3.0], [-4.0]), 100.0, order).item() == norm


def test_a_norm_that_is_not_finite_may_be_an_error():
    ps = parameters([math.nan])
    assert math.isnan(nn.utils.clip_grad_norm_(ps, 1.0).item())
    with pytest.raises(RuntimeError, match=r"total norm of order 2\.0 is nan"):
        nn.utils.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True)


def test_the_norm_may_be_taken_before():
    """Of the gradients of several groups, say."""
    ps = parameters([3.0, 0.0], [4.0])
    gradients = [p.grad for p in ps if p.grad is not None]
    total = nn.utils.get_total_norm(gradients, foreach=True)
    nn.utils.clip_grads_with_norm_(ps[:1], 1.0, total)
    assert total.item() == 5.0
    assert ps[0].grad.tolist() == pytest.approx([0.6, 0.0], rel=1e-5)
    assert ps[1].grad.tolist() == [4.0]
    assert nn.utils.get_total_norm(gradients[1], 1.0).item() == 4.0
    with pytest.raises(RuntimeError, match=r"total norm of order 2\.0 is inf"):
        nn.utils.get_total_norm([tg.tensor([math.inf])], error_if_nonfinite=True)


def test_values_are_clamped():
    ps = parameters([3.0, -0.5], [-4.0])
    nn.utils.clip_grad_value_(ps, 1.0)
    assert [p.grad.tolist() for p in ps[:2]] == [[1.0, -0.5], [-1.0]]


def test_without_gradients():
    assert nn.utils.clip_grad_norm_([nn.Parameter(tg.zeros(2))], 1.0).item() == 0.0
