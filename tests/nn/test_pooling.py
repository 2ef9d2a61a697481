"""Pooling layers hand their options on."""

import pytest

import tracegraph as tg
from tracegraph import nn


@pytest.mark.parametrize(
    ("layer", "shape", "result"),
    [
        (nn.MaxPool1d(2), (1, 2, 7), (1, 2, 3)),
        (nn.MaxPool1d(2, ceil_mode=True), (1, 2, 7), (1, 2, 4)),
        (nn.MaxPool2d(3, stride=2, padding=1), (1, 2, 7, 7), (1, 2, 4, 4)),
        (nn.MaxPool2d(2, dilation=2), (1, 2, 7, 7), (1, 2, 3, 3)),
        (nn.AvgPool1d(3, 1, 1), (2, 7), (2, 7)),
        (nn.AvgPool2d((1, 2)), (1, 2, 7, 8), (1, 2, 7, 4)),
        (nn.AdaptiveAvgPool1d(3), (1, 2, 7), (1, 2, 3)),
        (nn.AdaptiveAvgPool2d((3, None)), (1, 2, 7, 8), (1, 2, 3, 8)),
        (nn.AdaptiveMaxPool2d(1), (2, 7, 8), (2, 1, 1)),
    ],
    ids=repr,
)
def test_shapes(layer, shape, result):
    assert layer(tg.randn(shape)).shape == result


def test_indices_on_request():
    x = tg.tensor([[[3.0, 1.0, 2.0, 4.0]]])
    values, indices = nn.MaxPool1d(2, return_indices=True)(x)
    assert values.tolist() == [[[3.0, 4.0]]]
    assert indices.tolist() == [[[0, 3]]]
    values, indices = nn.MaxPool2d((1, 2), return_indices=True)(x.unsqueeze(0))
    assert indices.tolist() == [[[[0, 3]]]]


def test_average_options():
    x = tg.ones(1, 2, 2)
    assert nn.AvgPool2d(2, 2, 1)(x).tolist() == [[[0.25, 0.25], [0.25, 0.25]]]
    assert nn.AvgPool2d(2, 2, 1, count_include_pad=False)(x).tolist() == [[[1.0, 1.0], [1.0, 1.0]]]
    assert nn.AvgPool2d(2, divisor_override=1)(x).item() == 4.0
