"""Convolutions against loops over every output element."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.autograd import gradcheck
from tracegraph.ops import functional as F


def naive(x, w, b, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    n, _, height, width = x.shape
    o, per_group, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    rows = (height + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (width + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    result = np.zeros((n, o, rows, columns))
    for f, i, j, c, u, v in np.ndindex(o, rows, columns, per_group, kh, kw):
        channel = f // (o // groups) * per_group + c
        position = (i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1])
        result[:, f, i, j] += x[:, channel, position[0], position[1]] * w[f, c, u, v]
    return result + b[:, None, None]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": (2, 1), "padding": (1, 0)},
        {"dilation": (2, 1), "padding": (1, 2)},
        {"groups": 2},
        {"groups": 4, "stride": (2, 2)},
    ],
)
def test_conv2d(rng, options):
    groups = options.get("groups", 1)
    x, w, b = rng.standard_normal((2, 4, 6, 7)), rng.standard_normal((4, 4 // groups, 3, 2)), rng.standard_normal(4)
    found = tg.conv2d(tg.tensor(x), tg.tensor(w), tg.tensor(b), **options)
    np.testing.assert_allclose(found.numpy(), naive(x, w, b, **options), atol=1e-12)


def test_transposed_convolution_is_the_transpose(rng):
    """<conv(x), y> = <x, conv_transpose(y)>."""
    options = {"stride": 2, "padding": 1, "dilation": 1, "groups": 2}
    x, w = rng.standard_normal((2, 4, 7, 9)), rng.standard_normal((6, 2, 3, 3))
    forward = tg.conv2d(tg.tensor(x), tg.tensor(w), **options)
    y = rng.standard_normal(forward.shape)
    back = tg.conv_transpose2d(tg.tensor(y), tg.tensor(w), **options)
    assert back.shape == x.shape
    np.testing.assert_allclose((forward.numpy() * y).sum(), (x * back.numpy()).sum())


def test_output_padding_adds_rows_at_the_far_side(rng):
    x, w = tg.tensor(rng.standard_normal((1, 2, 3, 3))), tg.tensor(rng.standard_normal((2, 3, 3, 3)))
    plain = tg.conv_transpose2d(x, w, stride=2)
    longer = tg.conv_transpose2d(x, w, stride=2, output_padding=(1, 0))
    assert longer.shape == (1, 3, 8, 7)
    np.testing.assert_allclose(longer.numpy()[:, :, :7], plain.numpy())


def test_same_padding_keeps_the_size_and_puts_the_odd_element_last(rng):
    x, w = rng.standard_normal((1, 1, 5, 6)), rng.standard_normal((1, 1, 2, 4))
    found = tg.conv2d(tg.tensor(x), tg.tensor(w), padding="same")
    padded = np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 2)))
    np.testing.assert_allclose(found.numpy(), naive(padded, w, np.zeros(1)))


def test_signals_are_images_of_height_one(rng):
    x, w, b = rng.standard_normal((2, 3, 9)), rng.standard_normal((4, 3, 3)), rng.standard_normal(4)
    found = tg.conv1d(tg.tensor(x), tg.tensor(w), tg.tensor(b), stride=2, padding=1, dilation=2)
    wanted = naive(x[:, :, None], w[:, :, None], b, (1, 2), (0, 1), (1, 2))[:, :, 0]
    np.testing.assert_allclose(found.numpy(), wanted)


@pytest.mark.parametrize("shape", [(2, 4, 5, 6), (4, 5, 6)])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1, "groups": 2}, {"padding": "same"}])
def test_gradients(rng, shape, options):
    weight = (2, 4 // options.get("groups", 1), 2, 3)
    leaves = [tg.tensor(rng.standard_normal(s), requires_grad=True) for s in (shape, weight, (2,))]
    assert gradcheck(lambda x, w, b: tg.conv2d(x, w, b, **options), leaves)


@pytest.mark.parametrize(
    ("x", "w", "options", "message"),
    [
        ((1, 3, 8, 8), (4, 2, 3, 3), {}, r"conv2d: input f32\[1, 3, 8, 8\] has 3 channels, weight .* expects 2"),
        ((1, 3, 2, 2), (4, 3, 3, 3), {}, "does not fit"),
        ((3, 8), (4, 3, 3, 3), {}, r"must be \[N, C, H, W\]"),
        ((1, 4, 8, 8), (4, 2, 3, 3), {"groups": 3}, "groups=3 must divide"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"padding": "same", "stride": 2}, "needs stride 1"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"padding": "full"}, "'same', 'valid' or numbers"),
    ],
)
def test_what_does_not_fit_is_named(x, w, options, message):
    with pytest.raises(tg.TracegraphError, match=message):
        F.conv2d(tg.zeros(x), tg.zeros(w), **options)
