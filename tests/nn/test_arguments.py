"""Constructors of layers refuse what no layer can have, and name the layer, the argument and its value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.nn import functional as F

IMPOSSIBLE: dict[str, Callable[[], Any]] = {
    "Linear: in_features=-1 must be at least 0": lambda: nn.Linear(-1, 2),
    "Bilinear: in2_features=-3 must be at least 0": lambda: nn.Bilinear(2, -3, 4),
    "Embedding: num_embeddings=-1 must be at least 0": lambda: nn.Embedding(-1, 2),
    "Conv2d: kernel_size=0 must be at least 1": lambda: nn.Conv2d(3, 8, 0),
    r"Conv2d: stride=\(1, -1\) must be at least 1": lambda: nn.Conv2d(3, 8, 3, stride=(1, -1)),
    r"Conv2d: kernel_size=\(3, 3, 3\) must be one int or 2 of them": lambda: nn.Conv2d(3, 8, (3, 3, 3)),
    "Conv1d: padding=-1 must be at least 0": lambda: nn.Conv1d(3, 8, 3, padding=-1),
    "Conv2d: padding='full' must be 'same' or 'valid'": lambda: nn.Conv2d(3, 8, 3, padding="full"),
    "Conv2d: padding='same' needs stride=1, got stride=2": lambda: nn.Conv2d(3, 8, 3, stride=2, padding="same"),
    "Conv2d: groups=0 must be at least 1": lambda: nn.Conv2d(3, 8, 3, groups=0),
    "ConvTranspose2d: output_padding=-1 must be at least 0": lambda: nn.ConvTranspose2d(3, 8, 3, output_padding=-1),
    "MaxPool2d: kernel_size=0 must be at least 1": lambda: nn.MaxPool2d(0),
    "AvgPool1d: stride=-2 must be at least 1": lambda: nn.AvgPool1d(2, -2),
    "BatchNorm2d: num_features=-1 must be at least 0": lambda: nn.BatchNorm2d(-1),
    r"LayerNorm: normalized_shape=\(4, -1\) must be at least 0": lambda: nn.LayerNorm((4, -1)),
    "GroupNorm: num_groups=0 must be at least 1": lambda: nn.GroupNorm(0, 4),
    "LSTM: hidden_size=0 must be at least 1": lambda: nn.LSTM(3, 0),
    "GRU: num_layers=0 must be at least 1": lambda: nn.GRU(3, 4, num_layers=0),
    r"LSTM: dropout=2 must be a probability in \[0, 1\]": lambda: nn.LSTM(3, 4, dropout=2),
    "GRUCell: hidden_size=-4 must be at least 1": lambda: nn.GRUCell(3, -4),
    "MultiheadAttention: num_heads=0 must be at least 1": lambda: nn.MultiheadAttention(8, 0),
    "TransformerEncoderLayer: nhead=-2 must be at least 1": lambda: nn.TransformerEncoderLayer(8, -2),
    r"Dropout: p=1.5 must be a probability in \[0, 1\]": lambda: nn.Dropout(1.5),
}
OF_ANOTHER_TYPE: dict[str, Callable[[], Any]] = {
    r"Linear: in_features must be an int, got 2.5 \(float\)": lambda: nn.Linear(2.5, 2),
    r"Linear: out_features must be an int, got '2' \(str\)": lambda: nn.Linear(2, "2"),
    "Linear: in_features must be an int, got True": lambda: nn.Linear(True, 2),
    r"Conv2d: kernel_size must be an int or a tuple of ints, got \(3, 'a'\) \(tuple\)": lambda: nn.Conv2d(
        3, 8, (3, "a")
    ),
    "MaxPool2d: kernel_size must be an int or a tuple of ints, got 'a'": lambda: nn.MaxPool2d("a"),
    "LayerNorm: normalized_shape must be an int or a tuple of ints, got None": lambda: nn.LayerNorm(None),
    r"Dropout: p must be a probability in \[0, 1\], got '0.5' \(str\)": lambda: nn.Dropout("0.5"),
    r"Dropout: p must be a probability in \[0, 1\], got None": lambda: nn.Dropout(None),
}


@pytest.mark.parametrize("message", IMPOSSIBLE)
def test_impossible_values(message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        IMPOSSIBLE[message]()


@pytest.mark.parametrize("message", OF_ANOTHER_TYPE)
def test_values_of_another_type(message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}"):
        OF_ANOTHER_TYPE[message]()


def test_layers_may_be_empty() -> None:
    assert nn.Linear(0, 2)(tg.ones(3, 0)).tolist() == [[0.0, 0.0]] * 3
    assert nn.Bilinear(0, 2, 1)(tg.ones(3, 0), tg.ones(3, 2)).shape == (3, 1)
    assert nn.Linear(2, 0)(tg.ones(3, 2)).shape == (3, 0)


def test_unknown_reduction_is_refused_by_every_loss() -> None:
    scores, classes = tg.zeros(2, 3), tg.tensor([0, 1])
    for loss in (F.cross_entropy, F.nll_loss):
        with pytest.raises(ValueError, match="reduction='all' must be one of"):
            loss(scores, classes, reduction="all")
    with pytest.raises(ValueError, match="mse_loss: reduction='all'"):
        nn.MSELoss(reduction="all")(scores, scores)


@pytest.mark.parametrize("register", ["register_parameter", "register_buffer", "register_module"])
def test_registering_does_not_hide_another_attribute(register: str) -> None:
    layer = nn.Linear(2, 3)
    layer.note = "plain"
    with pytest.raises(ValueError, match=rf"{register}\('note'\): Linear has an attribute of this name already"):
        getattr(layer, register)("note", None)
    with pytest.raises(ValueError, match=rf"{register}\('forward'\): Linear has an attribute of this name"):
        getattr(layer, register)("forward", None)
    layer.register_parameter("weight", nn.Parameter(tg.zeros(3, 2)))
    layer.weight = nn.Parameter(tg.ones(3, 2))
    assert layer.weight.sum().item() == 6
