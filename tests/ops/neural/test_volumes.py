"""Convolution and pooling of volumes against those of images."""

from __future__ import annotations

import pytest

import tracegraph as tg


def test_a_kernel_of_depth_1_is_a_convolution_of_images() -> None:
    x, weight = tg.randn(2, 3, 4, 5, 5), tg.randn(2, 3, 1, 3, 3)
    wanted = tg.stack([tg.conv2d(x[:, :, d], weight[:, :, 0]) for d in range(4)], 2)
    assert tg.allclose(tg.conv3d(x, weight), wanted, atol=1e-5)


def test_the_transpose_is_the_gradient() -> None:
    x, weight = tg.randn(1, 2, 3, 3, 3, requires_grad=True), tg.randn(2, 4, 2, 3, 2)
    y = tg.conv_transpose3d(x, weight, stride=2, padding=1)
    g = tg.randn(y.shape)
    (y * g).sum().backward()
    assert tg.allclose(x.grad, tg.conv3d(g, weight, stride=2, padding=1), atol=1e-4)


def test_pools() -> None:
    x = tg.arange(16.0).reshape(1, 1, 4, 2, 2)
    assert tg.max_pool3d(x, 2).flatten().tolist() == [7, 15]
    assert tg.avg_pool3d(x, 2).flatten().tolist() == [3.5, 11.5]
    assert tg.adaptive_avg_pool3d(x, 1).item() == 7.5
    assert tg.adaptive_max_pool3d(x, (2, None, 1)).shape == (1, 1, 2, 2, 1)
    assert tg.avg_pool3d(x, 2, divisor_override=1).flatten().tolist() == [28, 92]


def test_what_does_not_fit() -> None:
    x = tg.ones(1, 2, 3, 3, 3)
    for call, message in (
        (lambda: tg.conv3d(x, tg.ones(1, 2, 4, 1, 1)), "smaller than that of the kernel"),
        (lambda: tg.conv3d(x, tg.ones(1, 2, 1, 1)), "must have 5 dimensions"),
        (lambda: tg.conv3d(x, tg.ones(1, 2, 2, 2, 2), padding="same", stride=2), "needs stride 1"),
        (lambda: tg.conv3d(x, tg.ones(1, 2, 2, 2, 2), stride=(1, 2)), "an int or three ints"),
        (lambda: tg.conv_transpose3d(x, tg.ones(2, 1, 2, 2, 2), output_padding=1), "output_padding=1"),
        (lambda: tg.max_pool3d(x[0, 0], 2), r"must be \[N, C, D, H, W\]"),
    ):
        with pytest.raises(RuntimeError, match=message):
            call()
