"""Recurrent layers against loops over time in numpy."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(gates, recurrent, h, c):
    i, f, g, o = np.split(gates + recurrent, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(gates, recurrent, h, c):
    (ri, zi, ni), (rh, zh, nh) = np.split(gates, 3, -1), np.split(recurrent, 3, -1)
    z, n = sigmoid(zi + zh), np.tanh(ni + sigmoid(ri + rh) * nh)
    return (1 - z) * n + z * h, c


def rnn_step(gates, recurrent, h, c):
    return np.tanh(gates + recurrent), c


STEPS = {nn.RNN: rnn_step, nn.LSTM: lstm_step, nn.GRU: gru_step}
CELLS = {nn.RNNCell: rnn_step, nn.LSTMCell: lstm_step, nn.GRUCell: gru_step}


def naive(layer, step, x):
    """Output and last h of a layer of any depth and direction, over x [L, N, features]."""
    state, lasts = {k: v.numpy() for k, v in layer.state_dict().items()}, []
    for depth in range(layer.num_layers):
        outputs = []
        for suffix in ("", "_reverse")[: 1 + layer.bidirectional]:
            h = c = np.zeros((x.shape[1], layer.hidden_size))
            w, u, a, b = (state[f"{n}_l{depth}{suffix}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            hs = []
            for x_t in x[::-1] if suffix else x:
                h, c = step(x_t @ w.T + a, h @ u.T + b, h, c)
                hs.append(h)
            outputs.append(np.array(hs[::-1] if suffix else hs))
            lasts.append(h)
        x = np.concatenate(outputs, -1)
    return x, np.array(lasts)


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_sequences(rng, kind, options):
    layer = kind(3, 4, dtype=tg.float64, **options)
    x = rng.standard_normal((5, 2, 3))
    output, last = layer(tg.tensor(x))
    wanted, h = naive(layer, STEPS[kind], x)
    np.testing.assert_allclose(output.detach().numpy(), wanted)
    np.testing.assert_allclose((last[0] if kind is nn.LSTM else last).detach().numpy(), h)


@pytest.mark.parametrize("kind", CELLS)
def test_cells(rng, kind):
    cell = kind(3, 4, dtype=tg.float64)
    x, h, c = rng.standard_normal((2, 3)), rng.standard_normal((2, 4)), rng.standard_normal((2, 4))
    w, u, a, b = (p.detach().numpy() for p in cell.parameters())
    wanted, _ = CELLS[kind](x @ w.T + a, h @ u.T + b, h, c)
    is_lstm = kind is nn.LSTMCell
    found = cell(tg.tensor(x), (tg.tensor(h), tg.tensor(c)) if is_lstm else tg.tensor(h))
    np.testing.assert_allclose((found[0] if is_lstm else found).detach().numpy(), wanted)
    started = cell(tg.tensor(x))
    assert (started[0] if is_lstm else started).shape == (2, 4)


def test_batch_first_and_unbatched(rng):
    layer = nn.GRU(3, 4, batch_first=True)
    x = tg.tensor(rng.standard_normal((2, 5, 3)).astype(np.float32))
    output, last = layer(x)
    assert output.shape == (2, 5, 4)
    assert last.shape == (1, 2, 4)
    single, single_last = layer(x[0])
    assert single.shape == (5, 4)
    assert single_last.shape == (1, 4)
    np.testing.assert_allclose(single.detach().numpy(), output[0].detach().numpy(), rtol=1e-5)


def test_the_state_may_be_carried_on(rng):
    layer = nn.LSTM(3, 4, num_layers=2)
    x = tg.tensor(rng.standard_normal((6, 2, 3)).astype(np.float32))
    whole, _ = layer(x)
    first, state = layer(x[:3])
    second, _ = layer(x[3:], state)
    np.testing.assert_allclose(tg.cat([first, second]).detach().numpy(), whole.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_gradients_reach_every_weight():
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True, dropout=0.2)
    output, _ = layer(tg.randn(5, 2, 3))
    output.sum().backward()
    assert len(list(layer.parameters())) == 16
    assert all(p.grad is not None for p in layer.parameters())
    assert repr(layer) == "LSTM(3, 4, num_layers=2, dropout=0.2, bidirectional=True)"


def test_relu_networks():
    output, _ = nn.RNN(3, 4, nonlinearity="relu")(tg.randn(5, 2, 3))
    assert output.min().item() >= 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.LSTM(3, 4)(tg.zeros(5, 2, 6)), r"shape \[5, 2, 6\] must be \[L, N, 3\] or \[L, 3\]"),
        (lambda: nn.GRU(3, 4)(tg.zeros(5, 2, 3), tg.zeros(1, 3, 4)), r"initial state has shape \[1, 3, 4\]"),
        (lambda: nn.RNN(3, 4, nonlinearity="gelu"), "'tanh' or 'relu'"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="gelu"), "'tanh' or 'relu'"),
        (lambda: nn.GRUCell(3, 4)(tg.zeros(1, 2, 3)), r"must be \[N, input_size\]"),
        (lambda: nn.LSTM(3, 4, dropout=2.0), "probability"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(tg.TracegraphError, match=message):
        call()


def test_weights_by_layer_and_direction():
    layer = nn.GRU(2, 3, 2, bidirectional=True)
    layer.flatten_parameters()
    assert [[tuple(p.shape) for p in weights] for weights in layer.all_weights][1:3] == [
        [(9, 2), (9, 3), (9,), (9,)],
        [(9, 6), (9, 3), (9,), (9,)],
    ]
    assert layer.all_weights[3][1] is layer.weight_hh_l1_reverse
    assert isinstance(layer, nn.RNNBase) and isinstance(nn.GRUCell(2, 3), nn.RNNCellBase)
