"""Transformer layers: composition, causality, stacks of copies."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn


@pytest.mark.parametrize("norm_first", [False, True])
def test_encoder_layer_is_its_parts(norm_first):
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation="gelu", norm_first=norm_first)
    x = tg.randn(5, 3, 8)

    def attend(x):
        return layer.self_attn(x, x, x)[0]

    def feed(x):
        return layer.linear2(nn.functional.gelu(layer.linear1(x)))

    if norm_first:
        y = x + attend(layer.norm1(x))
        wanted = y + feed(layer.norm2(y))
    else:
        y = layer.norm1(x + attend(x))
        wanted = layer.norm2(y + feed(y))
    np.testing.assert_allclose(layer(x).detach().numpy(), wanted.detach().numpy(), rtol=1e-5, atol=1e-5)


def test_a_causal_mask_hides_the_future():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = tg.randn(1, 5, 8)
    changed = tg.cat([x[:, :3], tg.randn(1, 2, 8)], 1)
    mask = tg.ones(5, 5, dtype=tg.bool).triu(1)
    np.testing.assert_allclose(
        layer(x, mask)[:, :3].detach().numpy(), layer(changed, src_mask=mask)[:, :3].detach().numpy(), atol=1e-5
    )
    np.testing.assert_allclose(layer(x, mask).detach().numpy(), layer(x, is_causal=True).detach().numpy(), atol=1e-5)


def test_the_decoder_attends_to_memory():
    layer = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0)
    target, memory = tg.randn(4, 3, 8), tg.randn(6, 3, 8, requires_grad=True)
    y = layer(target, memory, tgt_is_causal=True)
    assert y.shape == (4, 3, 8)
    y.square().sum().backward()
    assert (memory.grad != 0).any()


def test_stacks_are_independent_copies():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 3, nn.LayerNorm(8))
    assert encoder.layers[0].linear1.weight is not encoder.layers[1].linear1.weight
    encoder(tg.randn(5, 3, 8)).sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2)
    assert decoder(tg.randn(4, 3, 8), tg.randn(5, 3, 8)).shape == (4, 3, 8)


def test_activations_are_known():
    with pytest.raises(ValueError, match="activation='swish'"):
        nn.TransformerEncoderLayer(8, 2, activation="swish")
    assert nn.TransformerEncoderLayer(8, 2, activation=tg.tanh).activation is tg.tanh


def test_encoder_and_decoder_together() -> None:
    model = nn.Transformer(8, 2, 1, 2, 16, dropout=0.0, batch_first=True)
    src, tgt = tg.randn(3, 5, 8), tg.randn(3, 4, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    assert mask.tolist()[1] == [0.0, 0.0, float("-inf"), float("-inf")]
    expected = model.decoder(tgt, model.encoder(src), mask)
    assert tg.allclose(model(src, tgt, tgt_mask=mask), expected)
    changed = tgt.clone()
    changed[:, -1] += 1
    assert tg.allclose(model(src, changed, tgt_mask=mask)[:, :-1], expected[:, :-1], atol=1e-6)
    assert model.decoder.norm.bias is not None
