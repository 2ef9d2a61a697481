"""Pooling against loops over windows."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.autograd import gradcheck


def windows(x, kernel, stride, padding, ceil_mode=False):
    """(row, column, the window's elements, how many the padded image holds) of each window of one image."""
    height, width = x.shape
    counts = []
    for size in (height, width):
        span = size + 2 * padding - kernel
        count = (-(-span // stride) if ceil_mode else span // stride) + 1
        counts.append(count - 1 if ceil_mode and (count - 1) * stride >= size + padding else count)
    for row, column in np.ndindex(*counts):
        top, left = row * stride - padding, column * stride - padding
        held = (min(top + kernel, height + padding) - top) * (min(left + kernel, width + padding) - left)
        cells = x[max(top, 0) : top + kernel, max(left, 0) : left + kernel]
        yield row, column, cells, held


GEOMETRIES = [(2, 2, 0, False), (3, 2, 1, False), (3, 1, 1, False), (3, 2, 0, True), (3, 3, 1, True), (2, 3, 1, True)]


@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil_mode"), GEOMETRIES)
def test_maxima_and_where_they_are(rng, kernel, stride, padding, ceil_mode):
    x = rng.permutation(56.0 * np.arange(56)).reshape(7, 8)
    values, indices = tg.max_pool2d_with_indices(tg.tensor(x[None]), kernel, stride, padding, ceil_mode=ceil_mode)
    seen = 0
    for row, column, cells, _ in windows(x, kernel, stride, padding, ceil_mode):
        assert values[0, row, column].item() == cells.max()
        assert x.flat[indices[0, row, column].item()] == cells.max()
        seen += 1
    assert seen == values.numel()


@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil_mode"), GEOMETRIES)
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_means(rng, kernel, stride, padding, ceil_mode, count_include_pad):
    x = rng.standard_normal((7, 8))
    found = tg.avg_pool2d(tg.tensor(x[None]), kernel, stride, padding, ceil_mode, count_include_pad)
    for row, column, cells, held in windows(x, kernel, stride, padding, ceil_mode):
        divisor = held if count_include_pad else cells.size
        np.testing.assert_allclose(found[0, row, column].item(), cells.sum() / divisor)


def test_the_gradient_of_ties_goes_to_the_first(rng):
    x = tg.zeros(1, 1, 2, 4, requires_grad=True)
    tg.max_pool2d(x, 2).sum().backward()
    assert x.grad.tolist() == [[[[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]]


def test_overlapping_windows_add_their_gradients():
    x = tg.tensor([[[[1.0, 5.0, 2.0]]]], requires_grad=True)
    tg.max_pool2d(x, (1, 2), stride=1).sum().backward()
    assert x.grad.tolist() == [[[[0.0, 2.0, 0.0]]]]


def test_nan_is_the_maximum_of_its_window():
    x = tg.tensor([[[1.0, float("nan")], [2.0, 3.0]]])
    values, indices = tg.max_pool2d_with_indices(x, 2)
    assert np.isnan(values.item())
    assert indices.item() == 1


def test_integers_and_padding_of_the_lowest_value():
    x = tg.full((1, 2, 2), -7, dtype=tg.int32)
    assert tg.max_pool2d(x, 2, stride=2, padding=1).tolist() == [[[-7, -7], [-7, -7]]]


@pytest.mark.parametrize("options", [{"stride": 2, "padding": 1}, {"dilation": 2}, {"stride": 2, "ceil_mode": True}])
def test_gradients(rng, options):
    x = tg.tensor(rng.permutation(np.arange(98.0)).reshape(2, 7, 7), requires_grad=True)
    assert gradcheck(lambda x: tg.max_pool2d(x, 3, **options), [x], eps=1e-3)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((8, 8), {"kernel_size": 2}, r"must be \[N, C, H, W\]"),
        ((1, 2, 2), {"kernel_size": 3}, "does not fit"),
        ((1, 8, 8), {"kernel_size": 2, "padding": 2}, "at most half"),
        ((1, 8, 8), {"kernel_size": 2, "stride": -1}, "stride"),
    ],
)
def test_impossible_pools_are_refused(shape, options, message):
    with pytest.raises(tg.TracegraphError, match=message):
        tg.max_pool2d(tg.zeros(shape), **options)
