"""Linear layers and layers that reshape."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn


def test_linear():
    layer = nn.Linear(3, 2, dtype=tg.float64)
    x = tg.randn(4, 3, dtype=tg.float64)
    wanted = x.numpy() @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), wanted)
    assert nn.Linear(3, 2, bias=False).bias is None
    with pytest.raises(RuntimeError, match=r"input f32\[4, 5\] has 5 features .*weight f32\[2, 3\] expects 3"):
        nn.Linear(3, 2)(tg.zeros(4, 5))


def test_bilinear():
    layer = nn.Bilinear(2, 3, 4, dtype=tg.float64)
    a, b = tg.randn(5, 2, dtype=tg.float64), tg.randn(5, 3, dtype=tg.float64)
    wanted = np.einsum("ni,oij,nj->no", a.numpy(), layer.weight.detach().numpy(), b.numpy())
    np.testing.assert_allclose(layer(a, b).detach().numpy(), wanted + layer.bias.detach().numpy())


def test_reshaping():
    x = tg.zeros(2, 3, 4)
    assert nn.Flatten()(x).shape == (2, 12)
    assert nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Unflatten(2, (2, 2))(x).shape == (2, 3, 2, 2)
    assert nn.Identity(3, unused=True)(x) is x
