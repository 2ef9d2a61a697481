"""Multi-head attention against its heads one by one."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn


def naive(layer, q, k, v, mask):
    """Output and weights per head for q [L, e], k, v [S, e] of one example."""
    state = {n: p.numpy() for n, p in layer.state_dict().items()}
    weights, biases = np.split(state["in_proj_weight"], 3), np.split(state["in_proj_bias"], 3)
    q, k, v = (x @ w.T + b for x, w, b in zip((q, k, v), weights, biases, strict=True))
    heads, attended = [], []
    for columns in np.split(np.arange(layer.embed_dim), layer.num_heads):
        scores = q[:, columns] @ k[:, columns].T / np.sqrt(len(columns)) + mask
        exponentials = np.exp(scores)
        attended.append(exponentials / exponentials.sum(1, keepdims=True))
        heads.append(attended[-1] @ v[:, columns])
    joined = np.concatenate(heads, 1)
    return joined @ state["out_proj.weight"].T + state["out_proj.bias"], np.array(attended)


@pytest.fixture
def layer():
    layer = nn.MultiheadAttention(8, 2, dtype=tg.float64)
    nn.init.normal_(layer.in_proj_bias)
    return layer


def test_values_and_weights(rng, layer):
    q, k, v = (rng.standard_normal((n, 3, 8)) for n in (4, 5, 5))
    output, weights = layer(*map(tg.tensor, (q, k, v)))
    for n in range(3):
        wanted, heads = naive(layer, q[:, n], k[:, n], v[:, n], 0)
        np.testing.assert_allclose(output[:, n].detach().numpy(), wanted)
        np.testing.assert_allclose(weights[n].detach().numpy(), heads.mean(0))
    _, per_head = layer(*map(tg.tensor, (q, k, v)), average_attn_weights=False)
    assert per_head.shape == (3, 2, 4, 5)


@pytest.mark.parametrize("need_weights", [True, False])
def test_masks(rng, layer, need_weights):
    x = rng.standard_normal((4, 3, 8))
    causal = np.triu(np.ones((4, 4), bool), 1)
    padding = np.zeros((3, 4), bool)
    padding[1, 3] = True
    output, _ = layer(
        *[tg.tensor(x)] * 3,
        attn_mask=tg.tensor(causal),
        key_padding_mask=tg.tensor(padding),
        need_weights=need_weights,
    )
    for n in range(3):
        mask = np.where(causal | padding[n], -np.inf, 0)
        np.testing.assert_allclose(output[:, n].detach().numpy(), naive(layer, *[x[:, n]] * 3, mask)[0])
    hinted, _ = layer(*[tg.tensor(x)] * 3, is_causal=True, need_weights=need_weights)
    np.testing.assert_allclose(hinted[:3, 1].detach().numpy(), output[:3, 1].detach().numpy())


def test_batch_first_unbatched_and_other_sizes(rng):
    layer = nn.MultiheadAttention(8, 2, kdim=3, vdim=5, batch_first=True)
    output, weights = layer(tg.randn(2, 4, 8), tg.randn(2, 6, 3), tg.randn(2, 6, 5))
    assert output.shape == (2, 4, 8)
    assert weights.shape == (2, 4, 6)
    output, weights = layer(tg.randn(4, 8), tg.randn(6, 3), tg.randn(6, 5))
    assert output.shape == (4, 8)
    assert weights.shape == (4, 6)
    output.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


def test_dropout_applies_in_training_only():
    layer = nn.MultiheadAttention(8, 2, dropout=0.5)
    x = tg.randn(4, 1, 8)
    first, _ = layer(x, x, x, need_weights=False)
    second, _ = layer(x, x, x, need_weights=False)
    assert (first != second).any()
    layer.eval()
    assert (layer(x, x, x)[0] - layer(x, x, x, need_weights=False)[0]).abs().max().item() < 1e-5


def test_refusals():
    with pytest.raises(ValueError, match="num_heads=3 must divide embed_dim=8"):
        nn.MultiheadAttention(8, 3)
    x = tg.zeros(4, 1, 7)
    with pytest.raises(RuntimeError, match="embed_dim=8"):
        nn.MultiheadAttention(8, 2)(x, x, x)
