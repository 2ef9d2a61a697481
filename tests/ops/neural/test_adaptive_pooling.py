"""Pooling to a given size against windows from floor(i * n / m) to ceil((i + 1) * n / m)."""

import numpy as np
import pytest

import tracegraph as tg


def naive(x, size, reduce):
    result = np.zeros((*x.shape[:-2], *size))
    for i, j in np.ndindex(*size):
        rows = slice(i * x.shape[-2] // size[0], -(-(i + 1) * x.shape[-2] // size[0]))
        columns = slice(j * x.shape[-1] // size[1], -(-(j + 1) * x.shape[-1] // size[1]))
        result[..., i, j] = reduce(x[..., rows, columns], axis=(-2, -1))
    return result


@pytest.mark.parametrize("size", [(1, 1), (2, 4), (3, 5), (7, 3), (9, 11)])
@pytest.mark.parametrize(("op", "reduce"), [("adaptive_avg_pool2d", np.mean), ("adaptive_max_pool2d", np.max)])
def test_values(rng, size, op, reduce):
    x = rng.standard_normal((2, 3, 6, 8))
    found = getattr(tg, op)(tg.tensor(x), size)
    np.testing.assert_allclose(found.numpy(), naive(x, size, reduce), atol=1e-12)


def test_none_keeps_a_size(rng):
    assert tg.adaptive_avg_pool2d(tg.zeros(2, 3, 6, 8), (None, 2)).shape == (2, 3, 6, 2)


def test_maxima_pass_their_gradient_to_one_element():
    x = tg.ones(1, 5, 5, requires_grad=True)
    tg.adaptive_max_pool2d(x, (2, 2)).sum().backward()
    assert x.grad.sum().item() == 4
    assert set(x.grad.flatten().tolist()) == {0.0, 1.0}


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="output_size=0"):
        tg.adaptive_avg_pool2d(tg.zeros(1, 4, 4), 0)
