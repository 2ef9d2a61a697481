"""Scaled dot-product attention against loops over queries and keys."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.ops import functional as F


def naive(q, k, v, allowed, bias, scale):
    result = np.zeros((*q.shape[:-1], v.shape[-1]))
    for index in np.ndindex(*q.shape[:-2]):
        for i in range(q.shape[-2]):
            keys = [j for j in range(k.shape[-2]) if allowed[i, j]]
            weights = np.array([np.exp((q[index][i] * k[index][j]).sum() * scale + bias[i, j]) for j in keys])
            for j, w in zip(keys, weights, strict=True):
                result[index][i] += w / weights.sum() * v[index][j]
    return result


@pytest.fixture
def qkv(rng):
    return rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((2, 3, 6, 7))


ALL, NONE = np.ones((4, 6), bool), np.zeros((4, 6))


def test_plain_and_scaled(qkv):
    for scale in (None, 0.3):
        found = F.scaled_dot_product_attention(*map(tg.tensor, qkv), scale=scale)
        np.testing.assert_allclose(found.numpy(), naive(*qkv, ALL, NONE, scale or 5**-0.5))


def test_causal(qkv):
    found = F.scaled_dot_product_attention(*map(tg.tensor, qkv), is_causal=True)
    np.testing.assert_allclose(found.numpy(), naive(*qkv, np.tri(4, 6, dtype=bool), NONE, 5**-0.5))


def test_masks_allow_or_add(qkv, rng):
    allowed = rng.random((4, 6)) > 0.5
    allowed[2] = False  # a query that may attend to nothing
    found = F.scaled_dot_product_attention(*map(tg.tensor, qkv), tg.tensor(allowed))
    np.testing.assert_allclose(found.numpy(), naive(*qkv, allowed, NONE, 5**-0.5))
    assert (found.numpy()[..., 2, :] == 0).all()
    bias = rng.standard_normal((4, 6))
    found = F.scaled_dot_product_attention(*map(tg.tensor, qkv), tg.tensor(bias))
    np.testing.assert_allclose(found.numpy(), naive(*qkv, ALL, bias, 5**-0.5))


def test_a_query_that_attends_to_nothing_gets_no_nan_gradient(qkv):
    q, k, v = (tg.tensor(a, requires_grad=True) for a in qkv)
    mask = tg.zeros(4, 6, dtype=tg.bool)
    F.scaled_dot_product_attention(q, k, v, mask).sum().backward()
    for leaf in (q, k, v):
        assert (leaf.grad.numpy() == 0).all()


def test_dropout_of_weights_needs_a_key(qkv):
    value = tg.ones(2, 3, 6, 1, dtype=tg.float64)
    found = F.scaled_dot_product_attention(
        tg.tensor(qkv[0]), tg.tensor(qkv[1]), value, dropout_key=tg.tensor([1, 2]), dropout_p=0.5
    )
    assert 0.5 < found.mean().item() < 1.5
    assert (found.numpy() != 1).any()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(4, 5), (6, 4), (6, 7)], r"query f32\[4, 5\] and key f32\[6, 4\]"),
        ([(4, 5), (6, 5), (5, 7)], r"key f32\[6, 5\] and value f32\[5, 7\]"),
        ([(5,), (6, 5), (6, 7)], r"query f32\[5\] must have the dimensions"),
        ([(2, 4, 5), (3, 6, 5), (3, 6, 7)], "do not broadcast|batch"),
    ],
)
def test_what_does_not_fit_is_named(shapes, message):
    with pytest.raises(RuntimeError, match=message):
        F.scaled_dot_product_attention(*(tg.zeros(s) for s in shapes))


def test_mask_and_causality_exclude_each_other():
    x = tg.zeros(4, 5)
    with pytest.raises(ValueError, match="not both"):
        F.scaled_dot_product_attention(x, x, x, tg.zeros(4, 4), is_causal=True)
