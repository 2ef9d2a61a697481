"""Sequences of different lengths in one tensor, parameters in one vector."""

from __future__ import annotations

import pytest

import tracegraph as tg
from tracegraph import nn


def test_padding_and_back() -> None:
    sequences = [tg.ones(1, 2), tg.ones(3, 2) * 2]
    padded = nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=-1)
    assert padded.shape == (2, 3, 2)
    assert padded[0].tolist() == [[1, 1], [-1, -1], [-1, -1]]
    assert nn.utils.rnn.pad_sequence(sequences).shape == (3, 2, 2)
    assert nn.utils.rnn.pad_sequence(sequences, True, padding_side="left")[0, 0].tolist() == [0, 0]
    back = nn.utils.rnn.unpad_sequence(padded, tg.tensor([1, 3]), batch_first=True)
    assert [b.tolist() for b in back] == [s.tolist() for s in sequences]


def test_sequences_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="expected sequences"):
        nn.utils.rnn.pad_sequence([])
    with pytest.raises(RuntimeError, match="more than their length"):
        nn.utils.rnn.pad_sequence([tg.ones(1, 2), tg.ones(1, 3)])


def test_parameters_as_a_vector() -> None:
    layer = nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (8,)
    nn.utils.vector_to_parameters(tg.arange(8.0), layer.parameters())
    assert layer.weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert layer.bias.tolist() == [6, 7]
    assert layer.weight.requires_grad
    with pytest.raises(RuntimeError, match="as many elements"):
        nn.utils.vector_to_parameters(tg.zeros(7), layer.parameters())
