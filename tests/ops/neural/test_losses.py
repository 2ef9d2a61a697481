"""Losses against their formulas, at the ends of their ranges, and what they refuse."""

import math

import numpy as np
import pytest

import tracegraph as tg


def pair(rng, low=-2.0, high=2.0):
    return rng.uniform(low, high, (3, 4)), rng.uniform(0.1, 0.9, (3, 4))


FORMULAS = {
    "mse_loss": (lambda x, t: (x - t) ** 2, {}),
    "l1_loss": (lambda x, t: np.abs(x - t), {}),
    "smooth_l1_loss": (
        lambda x, t: np.where(np.abs(x - t) < 0.5, (x - t) ** 2, np.abs(x - t) - 0.25),
        {"beta": 0.5},
    ),
    "huber_loss": (
        lambda x, t: np.where(np.abs(x - t) < 0.5, (x - t) ** 2 / 2, 0.5 * (np.abs(x - t) - 0.25)),
        {"delta": 0.5},
    ),
    "kl_div": (lambda x, t: t * (np.log(t) - x), {}),
    "binary_cross_entropy_with_logits": (
        lambda x, t: -t * np.log(1 / (1 + np.exp(-x))) - (1 - t) * np.log(1 - 1 / (1 + np.exp(-x))),
        {},
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize(("reduction", "reduce"), [("none", lambda a: a), ("mean", np.mean), ("sum", np.sum)])
def test_formulas_and_reductions(rng, name, reduction, reduce):
    formula, options = FORMULAS[name]
    x, t = pair(rng)
    found = getattr(tg, name)(tg.tensor(x), tg.tensor(t), reduction=reduction, **options)
    np.testing.assert_allclose(found.numpy(), reduce(formula(x, t)))


def test_binary_cross_entropy_of_certain_probabilities_is_finite():
    p, t = tg.tensor([0.0, 1.0, 1.0]), tg.tensor([1.0, 0.0, 1.0])
    assert tg.binary_cross_entropy(p, t, reduction="none").tolist() == [100.0, 100.0, 0.0]


def test_scores_of_any_size_neither_overflow_nor_vanish():
    x, t = tg.tensor([1000.0, -1000.0, 1000.0], requires_grad=True), tg.tensor([1.0, 1.0, 0.0])
    loss = tg.binary_cross_entropy_with_logits(x, t, reduction="none")
    loss.sum().backward()
    assert loss.tolist() == [0.0, 1000.0, 1000.0]
    assert x.grad.tolist() == [0.0, -1.0, 1.0]


@pytest.mark.parametrize("weights", [{}, {"pos_weight": 3.0}, {"weight": 0.5}], ids=repr)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_the_gradient_of_an_undecided_score(zero, weights):
    """At 0, where the formula free of overflow has kinks that cancel: (1 - t) s - p t (1 - s), with s = 1/2."""
    x, t = tg.tensor([zero] * 3, requires_grad=True), tg.tensor([0.0, 1.0, 0.25])
    options = {name: tg.tensor(value) for name, value in weights.items()}
    tg.binary_cross_entropy_with_logits(x, t, reduction="sum", **options).backward()
    positive, overall = weights.get("pos_weight", 1.0), weights.get("weight", 1.0)
    assert x.grad.tolist() == [overall * (0.5 * (1 - p) - positive * 0.5 * p) for p in (0.0, 1.0, 0.25)]


#: the slope of a loss where its score and target meet, or its score is 0: by symmetry, or by the smooth branch
SLOPES_AT_ZERO = {
    "mse_loss": 0.0,
    "l1_loss": 0.0,
    "smooth_l1_loss": 0.0,
    "huber_loss": 0.0,
    "binary_cross_entropy_with_logits": 0.5,
}


@pytest.mark.parametrize("name", SLOPES_AT_ZERO)
@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("compiled", [False, True])
def test_slopes_at_zero(name, zero, compiled):
    loss = getattr(tg, name)
    x = tg.tensor([zero], requires_grad=True)
    (tg.compile(loss) if compiled else loss)(x, tg.zeros(1)).backward()
    assert x.grad.tolist() == [SLOPES_AT_ZERO[name]]


def test_positive_weights(rng):
    x, t = pair(rng)
    weight = rng.uniform(0.5, 2, 4)
    found = tg.binary_cross_entropy_with_logits(
        tg.tensor(x), tg.tensor(t), pos_weight=tg.tensor(weight), reduction="none"
    )
    s = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(found.numpy(), -(weight * t * np.log(s) + (1 - t) * np.log(1 - s)))


def test_divergence_counts_impossible_outcomes_as_nothing():
    x, t = tg.tensor([-1.0, -2.0], requires_grad=True), tg.tensor([0.0, 1.0], requires_grad=True)
    loss = tg.kl_div(x, t, reduction="sum")
    loss.backward()
    assert loss.item() == 2.0
    assert not np.isnan(t.grad.numpy()).any()
    assert tg.kl_div(tg.zeros(4, 2), tg.full((4, 2), math.e), reduction="batchmean").item() == pytest.approx(2 * math.e)


def test_half_precision_sums_in_float32():
    x = tg.full((4096,), 1.0, dtype=tg.float16)
    assert tg.mse_loss(x, tg.zeros(4096, dtype=tg.float16)).item() == 1.0


def test_cosine_of_vectors(rng):
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    wanted = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(tg.cosine_similarity(tg.tensor(a), tg.tensor(b)).numpy(), wanted)
    assert tg.cosine_similarity(tg.zeros(1, 3), tg.ones(1, 3)).item() == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tg.mse_loss(tg.zeros(2), tg.zeros(2), reduction="avg"), "reduction='avg' must be one of"),
        (lambda: tg.mse_loss(tg.zeros(2), tg.zeros(3)), "do not broadcast"),
        (lambda: tg.binary_cross_entropy(tg.zeros(2), tg.zeros(2, 1)), "must have the same shape"),
        (lambda: tg.huber_loss(tg.zeros(2), tg.zeros(2), delta=0), "delta=0.0 must be positive"),
        (lambda: tg.smooth_l1_loss(tg.zeros(2), tg.zeros(2), beta=-1), "beta=-1.0 must not be negative"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(tg.TracegraphError, match=message):
        call()
