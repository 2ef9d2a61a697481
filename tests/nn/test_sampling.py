"""Random choices with gradients, and dropout for SELU."""

from __future__ import annotations

import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.nn import functional as F


def test_frequencies_are_the_probabilities() -> None:
    tg.manual_seed(0)
    logits = tg.tensor([1.0, 2.0, 3.0]).log().expand(20000, 3)
    assert tg.allclose(F.gumbel_softmax(logits, hard=True).mean(0) * 6, tg.tensor([1.0, 2.0, 3.0]), atol=0.06)


def test_soft_samples_are_distributions_and_hard_ones_have_their_gradient() -> None:
    logits = tg.randn(5, 4, requires_grad=True)
    assert tg.allclose(F.gumbel_softmax(logits, tau=0.5).sum(-1), tg.ones(5))
    hard = F.gumbel_softmax(logits, hard=True)
    assert tg.allclose(hard.max(-1).values, tg.ones(5))
    (hard * tg.arange(4.0)).sum().backward()
    assert logits.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="tau=0"):
        F.gumbel_softmax(logits, tau=0)


def test_compiled_samples_are_the_eager_ones() -> None:
    logits = tg.randn(5, 4)
    tg.manual_seed(3)
    wanted = F.gumbel_softmax(logits)
    tg.manual_seed(3)
    assert tg.allclose(tg.compile(F.gumbel_softmax)(logits), wanted)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    tg.manual_seed(0)
    dropped = nn.AlphaDropout(0.3)(tg.randn(100000))
    assert abs(dropped.mean().item()) < 0.02
    assert abs(dropped.std().item() - 1) < 0.02
    x = tg.randn(5)
    assert nn.AlphaDropout().eval()(x) is x


def test_dropout_of_volumes() -> None:
    channels = nn.Dropout3d(0.5)(tg.ones(8, 8, 2, 2, 2)).sum((2, 3, 4))
    assert set(channels.flatten().tolist()) == {0.0, 16.0}


def test_random_slopes() -> None:
    layer, x = nn.RReLU(0.2, 0.4), -tg.ones(100)
    y = layer(x)
    assert y.min() >= -0.4
    assert y.max() <= -0.2
    assert y.std() > 0
    assert tg.allclose(layer.eval()(x), x * 0.3)
