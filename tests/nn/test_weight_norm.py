"""Weight normalisation: parameters, values, gradients, its way back."""

from __future__ import annotations

import pytest

import tracegraph as tg
from tracegraph import nn


def test_parameters_and_value() -> None:
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().clone()
    assert nn.utils.weight_norm(layer) is layer
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight_g", "weight_v"]
    assert layer.weight_g.shape == (2, 1)
    assert tg.allclose(layer.weight, before)
    with tg.no_grad():
        layer.weight_g.mul_(2)
    x = tg.ones(1, 3)
    assert tg.allclose(layer(x), x @ (2 * before).T + layer.bias)


def test_the_length_of_the_whole() -> None:
    layer = nn.utils.weight_norm(nn.Linear(3, 2), dim=None)
    assert layer.weight_g.shape == ()
    assert layer.weight_g.item() == pytest.approx(layer.weight.detach().norm().item())


def test_compiled_training_step() -> None:
    layer = nn.utils.weight_norm(nn.Conv1d(3, 4, 2))
    x = tg.randn(2, 3, 5)
    layer(x).sum().backward()
    wanted = layer.weight_g.grad.clone()
    layer.zero_grad()
    tg.compile(layer, fullgraph=True)(x).sum().backward()
    assert tg.allclose(layer.weight_g.grad, wanted, atol=1e-4)


def test_removal() -> None:
    layer = nn.utils.weight_norm(nn.Linear(3, 2))
    value = layer.weight.detach().clone()
    nn.utils.remove_weight_norm(layer)
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight"]
    assert tg.allclose(layer.weight, value)
    with pytest.raises(ValueError, match="no weight_norm of 'weight' in Linear"):
        nn.utils.remove_weight_norm(layer)
    with pytest.raises(ValueError, match="has no parameter 'kernel'"):
        nn.utils.weight_norm(layer, "kernel")
