"""Whole models, trained a few steps eager, interpreted and native from the same seed: losses, parameters, buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn, optim
from tracegraph.nn import functional as F

STEPS = 3


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, 16), nn.GELU(), nn.Dropout(0.3), nn.LayerNorm(16), nn.Linear(16, 4), nn.Tanh()
        )

    def forward(self, x):
        return self.layers(x)


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.grouped = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        x = x + F.silu(self.grouped(x))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.head = nn.Linear(8, 4)

    def forward(self, tokens):
        return self.head(self.layer(self.embed(tokens)).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(3, 5, num_layers=2, batch_first=True)
        self.head = nn.Linear(5, 4)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.head(out[:, -1])


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(2, 4)

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        return self.decoder(mean + tg.randn_like(mean) * (0.5 * log_variance).exp())


def classify(model, x, y):
    return F.cross_entropy(model(x), y)


def regress(model, x, y):
    return F.mse_loss(F.softmax(model(x), dim=-1)[:, 0], y.float() / 4)


def contrast(model, x, y):
    return F.binary_cross_entropy_with_logits(model(x), F.one_hot(y, 4).float()) + F.kl_div(
        F.log_softmax(model(x), -1), F.softmax(model(x).detach(), -1), reduction="batchmean"
    )


def features():
    return tg.randn(5, 6)


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], tg.Tensor], Callable[..., Any]]] = {
    "mlp": (MLP, features, classify),
    "mlp-regression": (MLP, features, regress),
    "mlp-two-passes": (MLP, features, contrast),
    "cnn": (CNN, lambda: tg.randn(5, 2, 9, 9), classify),
    "encoder": (Encoder, lambda: tg.randint(0, 11, (5, 7)), classify),
    "lstm": (lambda: Recurrent(nn.LSTM), lambda: tg.randn(5, 4, 3), classify),
    "gru": (lambda: Recurrent(nn.GRU), lambda: tg.randn(5, 4, 3), classify),
    "vae": (VAE, features, classify),
}


def train(name: str, loss_of: Callable[..., Any], make_optimizer: Callable[..., Any]) -> tuple[list[float], dict]:
    """Losses and final state of a run from the fixed seed, with `loss_of` as given or compiled."""
    make, inputs, _ = MODELS[name]
    tg.manual_seed(0)
    model = make()
    optimizer = make_optimizer(model.parameters())
    losses = []
    for _ in range(STEPS):
        x, y = inputs(), tg.randint(0, 4, (5,))
        optimizer.zero_grad()
        loss = loss_of(model, x, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {k: v.detach().numpy().copy() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
@pytest.mark.parametrize("name", MODELS)
def test_training_agrees_with_eager(name, backend):
    loss_of = MODELS[name][2]

    def sgd(parameters):
        return optim.SGD(parameters, lr=0.1, momentum=0.9)

    losses, state = train(name, loss_of, sgd)
    compiled = tg.compile(loss_of, backend=backend, fullgraph=True, options={"strict": True, "verify": True})
    compiled_losses, compiled_state = train(name, compiled, sgd)
    np.testing.assert_allclose(compiled_losses, losses, rtol=2e-5)
    assert state.keys() == compiled_state.keys()
    for key, value in state.items():
        np.testing.assert_allclose(compiled_state[key], value, rtol=2e-4, atol=2e-6, err_msg=key)


@pytest.mark.parametrize("partitioner", ["min_cut", "default"])
@pytest.mark.parametrize("fuse", [True, False])
def test_options_do_not_change_results(partitioner, fuse):
    losses, _ = train("cnn", classify, optim.Adam)
    options = {"partitioner": partitioner, "fuse": fuse, "strict": True}
    compiled, _ = train("cnn", tg.compile(classify, options=options), optim.Adam)
    np.testing.assert_allclose(compiled, losses, rtol=2e-5)


def test_evaluation_of_a_compiled_module():
    tg.manual_seed(0)
    model = CNN().eval()
    compiled = tg.compile(model, options={"strict": True})
    x = tg.randn(3, 2, 9, 9)
    with tg.no_grad():
        result = compiled(x)
        np.testing.assert_allclose(result.numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)
    assert not result.requires_grad
    assert compiled(x).requires_grad
    model.train()
    before = model.norm.running_mean.clone()
    compiled(x)
    assert not tg.equal(model.norm.running_mean, before), "a compiled module follows train()"
