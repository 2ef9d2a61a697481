"""Recurrent layers over sequences of any length: one graph with a loop serves them, forwards and backwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from captured import specialisation_count

import tracegraph as tg
from tracegraph import nn
from tracegraph.tensor import Tensor

LAYERS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "lstm": (nn.LSTM, {}),
    "two directions": (nn.LSTM, {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    "gru": (nn.GRU, {"bias": False}),
    "rnn": (nn.RNN, {"nonlinearity": "relu"}),
}


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
@pytest.mark.parametrize("name", LAYERS)
def test_one_graph_serves_every_length(name: str, backend: str) -> None:
    kind, options = LAYERS[name]
    layer = kind(3, 4, **options)
    compiled = tg.compile(lambda x: layer(x), backend=backend, fullgraph=True)  # noqa: PLW0108 - a function of our own is what is compiled
    for length, batch in ((3, 2), (5, 3), (4, 2), (9, 4), (2, 3)):
        shape = (batch, length, 3) if layer.batch_first else (length, batch, 3)
        x = tg.linspace(-1, 1, 3 * length * batch).reshape(shape)
        for found, wanted in zip(_results(compiled, layer, x), _results(layer, layer, x), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert specialisation_count(compiled) == 2


def _results(function: Any, layer: Any, x: Tensor) -> list[Any]:
    """Outputs, last states, and all gradients."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    outputs, last = function(x)
    states = last if isinstance(last, tuple) else (last,)
    sum(((t * t).sum() for t in (outputs, *states)), tg.zeros(())).backward()
    return [t.detach().numpy() for t in (outputs, *states, x.grad, *(p.grad for p in layer.parameters()))]


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_cells_are_part_of_the_graph(kind: type[Any]) -> None:
    cell, x = kind(3, 4), tg.linspace(-1, 1, 6).reshape(2, 3)
    found, wanted = tg.compile(cell, fullgraph=True)(x), cell(x)
    for f, w in zip(*((r if isinstance(r, tuple) else (r,)) for r in (found, wanted)), strict=True):
        np.testing.assert_allclose(f.detach().numpy(), w.detach().numpy(), rtol=1e-5, atol=1e-6)
