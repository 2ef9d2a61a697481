"""Convolution layers: options, padding modes, text, errors."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.nn import functional as F


@pytest.mark.parametrize(("mode", "numpy_mode"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
def test_padding_modes(mode, numpy_mode):
    layer = nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode=mode)
    x = tg.randn(1, 2, 6, 6)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (2, 2)), mode=numpy_mode)
    wanted = F.conv2d(tg.tensor(padded), layer.weight, layer.bias)
    np.testing.assert_allclose(layer(x).detach().numpy(), wanted.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape", "result"),
    [
        (nn.Conv1d(2, 4, 3, stride=2, padding=1), (5, 2, 9), (5, 4, 5)),
        (nn.Conv1d(2, 4, 4, padding="same"), (5, 2, 9), (5, 4, 9)),
        (nn.Conv2d(2, 4, (3, 2), groups=2), (5, 2, 6, 6), (5, 4, 4, 5)),
        (nn.Conv2d(2, 4, 3, padding="same", padding_mode="circular"), (2, 6, 6), (4, 6, 6)),
        (nn.ConvTranspose1d(2, 4, 3, stride=2, output_padding=1), (5, 2, 4), (5, 4, 10)),
        (nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1), (5, 2, 4, 3), (5, 4, 7, 5)),
    ],
    ids=repr,
)
def test_shapes_and_gradients(layer, shape, result):
    y = layer(tg.randn(shape))
    assert y.shape == result
    y.sum().backward()
    assert layer.weight.grad.shape == layer.weight.shape


def test_text():
    assert repr(nn.Conv2d(1, 2, 3)) == "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))"
    layer = nn.Conv2d(2, 4, 3, 2, "valid", groups=2, bias=False, padding_mode="reflect")
    options = "padding=valid, groups=2, bias=False, padding_mode=reflect"
    assert repr(layer) == f"Conv2d(2, 4, kernel_size=(3, 3), stride=(2, 2), {options})"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups=2 must divide in_channels=3"),
        (lambda: nn.Conv2d(2, 4, 3, padding_mode="mirror"), "padding_mode='mirror' must be 'zeros'"),
        (lambda: nn.Conv2d(2, 4, (1, 2, 3)), r"kernel_size=\(1, 2, 3\) must be one int or 2 of them"),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
