"""Embedding layers."""

import pytest

import tracegraph as tg
from tracegraph import nn


def test_rows_and_padding():
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4
    assert layer.weight[4].tolist() == [0.0, 0.0, 0.0]
    y = layer(tg.tensor([[1, 4], [1, 0]]))
    assert y.shape == (2, 2, 3)
    y.sum().backward()
    assert layer.weight.grad.tolist() == [[1.0] * 3, [2.0] * 3, [0.0] * 3, [0.0] * 3, [0.0] * 3]
    assert repr(layer) == "Embedding(5, 3, padding_idx=4)"


def test_given_vectors():
    vectors = tg.randn(4, 2)
    layer = nn.Embedding.from_pretrained(vectors)
    assert not layer.weight.requires_grad
    assert layer(tg.tensor(2)).tolist() == vectors[2].tolist()
    assert nn.Embedding.from_pretrained(vectors, freeze=False).weight.requires_grad
    with pytest.raises(RuntimeError, match=r"\[rows, features\]"):
        nn.Embedding.from_pretrained(tg.zeros(3))


def test_padding_must_be_a_row():
    with pytest.raises(ValueError, match="padding_idx=5 is outside the 5 rows"):
        nn.Embedding(5, 3, padding_idx=5)
