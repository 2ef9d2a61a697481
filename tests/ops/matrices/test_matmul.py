"""Matrix products against sums written out, and what does not multiply."""

import numpy as np
import pytest

import tracegraph as tg


def naive(a, b):
    """The definition, on two matrices."""
    result = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(a.shape[1]):
                result[i, j] += a[i, k] * b[k, j]
    return result


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 4), (4, 5)),
        ((2, 3, 4), (4, 5)),
        ((3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (3, 4, 5)),
        ((2, 3, 4), (2, 4, 5)),
    ],
)
def test_batches_broadcast(rng, left, right):
    a, b = rng.standard_normal(left), rng.standard_normal(right)
    batch = np.broadcast_shapes(left[:-2], right[:-2])
    wanted = np.zeros((*batch, left[-2], right[-1]))
    spread_a, spread_b = np.broadcast_to(a, (*batch, *left[-2:])), np.broadcast_to(b, (*batch, *right[-2:]))
    for index in np.ndindex(*batch):
        wanted[index] = naive(spread_a[index], spread_b[index])
    np.testing.assert_allclose((tg.tensor(a) @ tg.tensor(b)).numpy(), wanted)


def test_vectors_are_rows_on_the_left_and_columns_on_the_right(rng):
    m, v, w = rng.standard_normal((3, 4)), rng.standard_normal(4), rng.standard_normal(3)
    np.testing.assert_allclose((tg.tensor(m) @ tg.tensor(v)).numpy(), naive(m, v[:, None])[:, 0])
    np.testing.assert_allclose((tg.tensor(w) @ tg.tensor(m)).numpy(), naive(w[None], m)[0])
    assert (tg.tensor(v) @ tg.tensor(v)).shape == ()


def test_half_precision_accumulates_in_float32():
    ones = tg.ones(1, 4096, dtype=tg.float16)
    assert (ones @ ones.t()).item() == 4096.0  # a float16 sum would stick at 2048


def test_integers_multiply_exactly():
    a = tg.tensor([[2**40, 1]])
    assert (a @ a.t()).item() == (2**80 + 1) % 2**64 - (2**64 if (2**80 + 1) % 2**64 >= 2**63 else 0)


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        (tg.zeros(3, 4), tg.zeros(5, 6), r"f32\[3, 4\].*size 4.*f32\[5, 6\].*size 5"),
        (tg.zeros(2, 3, 4), tg.zeros(3, 4, 5), r"batch dimensions"),
        (tg.zeros(()), tg.zeros(3), r"0-d"),
        (tg.zeros(3, 3), tg.zeros(3, 3, dtype=tg.float64), r"dtype"),
        (tg.zeros(3, 3, dtype=tg.bool), tg.zeros(3, 3, dtype=tg.bool), r"bool"),
    ],
)
def test_what_does_not_fit_is_named(left, right, message):
    with pytest.raises(RuntimeError, match=message):
        left @ right


def test_gradient_of_a_shared_weight_sums_over_the_batch(rng):
    x = tg.tensor(rng.standard_normal((5, 2, 3)))
    w = tg.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    (x @ w).sum().backward()
    wanted = sum(naive(x.numpy()[i].T, np.ones((2, 4))) for i in range(5))
    np.testing.assert_allclose(w.grad.numpy(), wanted)
