"""Unfolding and folding: inverse in the sense of transposes, and checked geometry."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.ir import Builder, TensorType
from tracegraph.ops import functional as F
from tracegraph.ops.graphs.recording import Recorder
from tracegraph.ops.neural.windows import Windows, fold

GEOMETRIES = [
    {"kernel_size": (3, 3)},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1},
    {"kernel_size": (2, 3), "dilation": (2, 1), "padding": (0, 1, 2, 0)},
    {"kernel_size": (1, 1), "stride": (2, 3)},
    {"kernel_size": (2, 7), "stride": (2, 7)},
    {"kernel_size": (4, 3), "stride": (4, 3)},
]


def naive_unfold(x, kernel_size, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), fill=0.0):
    if padding == 1:
        padding = (1, 1, 1, 1)
    top, bottom, left, right = padding
    n, c, height, width = x.shape
    rows = (height + top + bottom - dilation[0] * (kernel_size[0] - 1) - 1) // stride[0] + 1
    columns = (width + left + right - dilation[1] * (kernel_size[1] - 1) - 1) // stride[1] + 1
    result = np.full((n, c, *kernel_size, rows, columns), fill)
    for i, j, row, column in np.ndindex(*kernel_size, rows, columns):
        y = row * stride[0] - top + i * dilation[0]
        z = column * stride[1] - left + j * dilation[1]
        if 0 <= y < height and 0 <= z < width:
            result[:, :, i, j, row, column] = x[:, :, y, z]
    return result


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_windows_hold_what_the_definition_says(rng, geometry):
    x = rng.standard_normal((2, 3, 6, 7))
    found = F.unfold2d(tg.tensor(x), **geometry, fill=-1.5)
    np.testing.assert_array_equal(found.numpy(), naive_unfold(x, **geometry, fill=-1.5))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_folding_is_the_transpose_of_unfolding(rng, geometry):
    """<unfold(x), y> = <x, fold(y)> for all x and y."""
    x = rng.standard_normal((2, 3, 6, 7))
    columns = F.unfold2d(tg.tensor(x), **geometry)
    y = rng.standard_normal(columns.shape)
    options = {k: v for k, v in geometry.items() if k != "kernel_size"}
    folded = F.fold2d(tg.tensor(y), (6, 7), **options)
    np.testing.assert_allclose((columns.numpy() * y).sum(), (x * folded.numpy()).sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 7}, r"unfold2d: a window of 7 x 7 .* does not fit into input f32\[1, 1, 4, 4\]"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"kernel_size": 2, "stride": 0}, "stride"),
        ({"kernel_size": 2, "padding": -1}, "padding"),
        ({"kernel_size": 2, "padding": (1, 2, 3)}, "padding"),
    ],
)
def test_impossible_windows_are_refused(options, message):
    with pytest.raises(tg.TracegraphError, match=message):
        F.unfold2d(tg.zeros(1, 1, 4, 4), **options)


def test_folding_checks_the_number_of_windows():
    with pytest.raises(RuntimeError, match=r"has 3 windows along dimension 4, an image of \[5, 5\] has 4"):
        F.fold2d(tg.zeros(1, 1, 2, 2, 3, 4), (5, 5))


@pytest.mark.parametrize(("geometry", "size"), [((2, 2), (6, 8)), ((3, 2), (6, 8)), ((2, 2), (7, 8))])
def test_the_gradient_of_tiles_puts_them_in_place(rng, geometry, size):
    """Windows side by side over the whole image need no sum; a rest that no window covers does."""
    x = tg.tensor(rng.standard_normal((2, 3, *size)), requires_grad=True)
    columns = F.unfold2d(x, geometry, stride=geometry)
    y = rng.standard_normal(columns.shape)
    (columns * tg.tensor(y)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), F.fold2d(tg.tensor(y), size, stride=geometry).numpy())


def test_tiles_are_a_permutation_of_the_graph():
    windows = Windows((2, 2), (2, 2), (0, 0, 0, 0), (1, 1))

    def ops(size):
        recorder = Recorder(Builder("f"))
        cols = recorder.builder.placeholder(TensorType(tg.float32, (2, 3, 2, 2, 3, 4)))
        fold(recorder.traced(cols), size, windows)
        return [node.call_op.name for node in recorder.builder.graph.calls]

    assert "fold2d" not in ops((6, 8))
    assert ops((7, 8)) == ["fold2d"]
