"""Padding layers against numpy's padding."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn


@pytest.mark.parametrize(
    ("layer", "mode", "options"),
    [
        (nn.ReflectionPad2d((1, 2, 3, 0)), "reflect", {}),
        (nn.ReplicationPad2d((1, 2, 3, 0)), "edge", {}),
        (nn.CircularPad2d((1, 2, 3, 0)), "wrap", {}),
        (nn.ConstantPad2d((1, 2, 3, 0), 7.0), "constant", {"constant_values": 7}),
        (nn.ZeroPad2d((1, 2, 3, 0)), "constant", {}),
    ],
    ids=repr,
)
def test_images(rng, layer, mode, options):
    x = rng.standard_normal((2, 3, 4, 5))
    wanted = np.pad(x, ((0, 0), (0, 0), (3, 0), (1, 2)), mode=mode, **options)
    np.testing.assert_array_equal(layer(tg.tensor(x)).numpy(), wanted)


@pytest.mark.parametrize("layer", [nn.ReflectionPad1d(2), nn.ReplicationPad1d(2), nn.ConstantPad1d(2, 0.0)], ids=repr)
def test_signals(layer):
    assert layer(tg.zeros(1, 2, 5)).shape == (1, 2, 9)


def test_text():
    assert repr(nn.ZeroPad2d(1)) == "ZeroPad2d((1, 1, 1, 1))"
    assert repr(nn.ConstantPad1d((1, 2), 3.5)) == "ConstantPad1d(padding=(1, 2), value=3.5)"
