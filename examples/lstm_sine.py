"""An LSTM that forecasts a noisy sum of sines: trained on windows, then rolled out on its own predictions.

python examples/lstm_sine.py [--steps 120] [--eager]
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

import tracegraph as tg
from tracegraph import nn, optim
from tracegraph.nn import functional as F

SEED = 0
WINDOW, HIDDEN, BATCH, HORIZON = 24, 32, 32, 50


class Forecaster(nn.Module):
    """The next value [B, 1] of series [B, T], by an LSTM cell unrolled over T."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(1, hidden)
        self.head = nn.Linear(hidden, 1)
        self.hidden = hidden

    def forward(self, series: tg.Tensor) -> tg.Tensor:
        h = tg.zeros(series.shape[0], self.hidden)
        c = tg.zeros(series.shape[0], self.hidden)
        for t in range(series.shape[1]):
            h, c = self.cell(series[:, t : t + 1], (h, c))
        return self.head(h)


def loss_of(model: nn.Module, series: tg.Tensor, following: tg.Tensor) -> tg.Tensor:
    """Mean squared error of the one-step forecast."""
    return F.mse_loss(model(series), following)


def signal(length: int) -> np.ndarray:
    """Two sines of different period, float32 [length]."""
    t = np.arange(length)
    return (0.7 * np.sin(2 * np.pi * t / 25) + 0.3 * np.sin(2 * np.pi * t / 7)).astype(np.float32)


def rollout(model: nn.Module, start: np.ndarray, steps: int) -> np.ndarray:
    """Forecast `steps` values, feeding predictions back."""
    series = list(start)
    with tg.no_grad():
        for _ in range(steps):
            window = tg.tensor(np.asarray(series[-WINDOW:], np.float32)[None])
            series.append(model(window).item())
    return np.asarray(series[len(start) :], np.float32)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--eager", action="store_true", help="do not compile")
    arguments = parser.parse_args()
    tg.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    series = signal(1000)
    noisy = series + rng.normal(0, 0.02, series.shape).astype(np.float32)
    model = Forecaster(HIDDEN)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    step_loss = loss_of if arguments.eager else tg.compile(loss_of)
    start = time.perf_counter()
    for step in range(1, arguments.steps + 1):
        starts = rng.integers(0, 800, BATCH)
        windows = tg.tensor(np.stack([noisy[s : s + WINDOW] for s in starts]))
        following = tg.tensor(np.stack([noisy[s + WINDOW : s + WINDOW + 1] for s in starts]))
        optimizer.zero_grad()
        loss = step_loss(model, windows, following)
        loss.backward()
        optimizer.step()
        if step % 50 == 0 or step == 1:
            print(f"step {step:4}  mse {loss.item():.5f}  {time.perf_counter() - start:6.1f} s")
    forecast = rollout(model if arguments.eager else tg.compile(model), series[900 - WINDOW : 900], HORIZON)
    error = float(np.sqrt(np.mean((forecast - series[900 : 900 + HORIZON]) ** 2)))
    print(f"{HORIZON} steps ahead on its own predictions: RMSE {error:.3f} (signal RMS {series.std():.3f})")
    return 0 if error < series.std() / 2 else 1


if __name__ == "__main__":
    sys.exit(main())
