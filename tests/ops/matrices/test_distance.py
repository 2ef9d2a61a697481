"""Distances of all pairs of rows against loops."""

import numpy as np
import pytest

import tracegraph as tg


def naive(a, b, p):
    return np.array([[np.linalg.norm(x - y, p) for y in b] for x in a])


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
@pytest.mark.parametrize("rows", [5, 40])
def test_values(rng, p, rows):
    a, b = rng.standard_normal((rows, 4)), rng.standard_normal((6, 4))
    np.testing.assert_allclose(tg.cdist(tg.tensor(a), tg.tensor(b), p).numpy(), naive(a, b, p))


def test_batches_broadcast(rng):
    a, b = rng.standard_normal((2, 3, 4)), rng.standard_normal((5, 4))
    found = tg.cdist(tg.tensor(a), tg.tensor(b))
    np.testing.assert_allclose(found[1].numpy(), naive(a[1], b, 2))


@pytest.mark.parametrize("mode", ["use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"])
def test_points_that_coincide_have_distance_and_gradient_zero(mode):
    x = tg.ones(2, 3, requires_grad=True)
    distances = tg.cdist(x, tg.ones(1, 3), compute_mode=mode)
    distances.sum().backward()
    assert distances.tolist() == [[0.0], [0.0]]
    assert x.grad.tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tg.cdist(tg.zeros(3), tg.zeros(2, 3)), r"x1 f32\[3\] must have the dimensions"),
        (lambda: tg.cdist(tg.zeros(2, 3), tg.zeros(2, 4)), "equally many features"),
        (lambda: tg.cdist(tg.zeros(2, 3), tg.zeros(2, 3), p=-1), "p=-1.0"),
        (lambda: tg.cdist(tg.zeros(2, 3), tg.zeros(2, 3), compute_mode="fast"), "compute_mode='fast'"),
        (lambda: tg.cdist(tg.zeros(2, 3, dtype=tg.int64), tg.zeros(2, 3)), "must be floating"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(tg.TracegraphError, match=message):
        call()
