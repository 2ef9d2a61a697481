"""Normalisation: values by the definition, accuracy, gradients of the statistics, messages."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.autograd import gradcheck
from tracegraph.ops import functional as F


def standardized(x, axes, eps=1e-5):
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps)


def test_layer_norm(rng):
    x, w, b = rng.standard_normal((2, 3, 4)), rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    found = tg.layer_norm(tg.tensor(x), (3, 4), tg.tensor(w), tg.tensor(b))
    np.testing.assert_allclose(found.numpy(), standardized(x, (1, 2)) * w + b)


def test_group_norm(rng):
    x, w, b = rng.standard_normal((2, 6, 5)), rng.standard_normal(6), rng.standard_normal(6)
    found = tg.group_norm(tg.tensor(x), 3, tg.tensor(w), tg.tensor(b))
    wanted = standardized(x.reshape(2, 3, 10), 2).reshape(x.shape) * w[:, None] + b[:, None]
    np.testing.assert_allclose(found.numpy(), wanted)


def test_rms_norm(rng):
    x, w = rng.standard_normal((2, 4)), rng.standard_normal(4)
    found = tg.rms_norm(tg.tensor(x), (4,), tg.tensor(w), eps=0.1)
    np.testing.assert_allclose(found.numpy(), x / np.sqrt((x * x).mean(-1, keepdims=True) + 0.1) * w)


def test_a_large_mean_costs_no_accuracy(rng):
    """The variance is taken of deviations: E[x^2] - E[x]^2 would be all rounding error here."""
    x = (rng.standard_normal((4, 256)) + 3000).astype(np.float32)
    found = tg.layer_norm(tg.tensor(x), (256,))
    np.testing.assert_allclose(found.numpy(), standardized(x.astype(np.float64), 1), atol=2e-3)


def test_statistics_come_along_and_carry_gradients(rng):
    x = tg.tensor(rng.standard_normal((3, 4, 5)), requires_grad=True)
    output, mean, variance = F.standardize(x, (0, 2))
    assert mean.shape == variance.shape == (1, 4, 1)
    np.testing.assert_allclose(variance.detach().numpy(), x.detach().numpy().var((0, 2), keepdims=True))
    assert output.shape == x.shape
    assert gradcheck(lambda x: tuple(F.standardize(x, (0, 2))), [x])


def test_given_statistics(rng):
    x, mean, var = rng.standard_normal((2, 3, 4)), rng.standard_normal(3), rng.uniform(0.5, 2, 3)
    found = F.batch_norm_with_statistics(tg.tensor(x), tg.tensor(mean), tg.tensor(var), eps=0.1)
    np.testing.assert_allclose(found.numpy(), (x - mean[:, None]) / np.sqrt(var[:, None] + 0.1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tg.layer_norm(tg.zeros(2, 3), (4,)), r"layer_norm: input f32\[2, 3\] must end in .*\[4\]"),
        (lambda: tg.layer_norm(tg.zeros(2, 3), (3,), tg.zeros(2)), r"weight of shape \[2\]"),
        (lambda: tg.layer_norm(tg.zeros(2, 3, dtype=tg.int64), (3,)), "floating"),
        (lambda: tg.group_norm(tg.zeros(2, 5), 2), "num_groups=2 must divide the 5 channels"),
        (lambda: tg.group_norm(tg.zeros(2, 4), 2, tg.zeros(3)), r"weight f32\[3\] must have shape \[4\]"),
        (lambda: tg.rms_norm(tg.zeros(2, 3), (2, 3, 4)), "must end in"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(tg.TracegraphError, match=message):
        call()
