"""A variational autoencoder on handwritten digits: reparameterised sampling, reconstruction + KL loss, new digits.

python examples/vae_digits.py [--epochs 15] [--eager]
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from sklearn.datasets import load_digits

import tracegraph as tg
from tracegraph import nn, optim
from tracegraph.data import DataLoader, TensorDataset
from tracegraph.nn import functional as F

SEED = 0
LATENT = 8


class VAE(nn.Module):
    """Encoder 64 -> (mean, log variance) of a Gaussian latent, decoder back to 64 pixel logits."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 128), nn.ReLU(), nn.Linear(128, 64))

    def forward(self, x: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        latent = mean + tg.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decoder(latent), mean, log_variance


def loss_of(model: nn.Module, x: tg.Tensor) -> tg.Tensor:
    """Negative evidence lower bound per image, in nats."""
    logits, mean, log_variance = model(x)
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
    return (reconstruction + divergence) / x.shape[0]


def picture(pixels: np.ndarray) -> list[str]:
    """Eight lines of text for an 8 x 8 image in [0, 1]."""
    shades = " .:-=+*#%@"
    return ["".join(shades[int(p * 9.99)] * 2 for p in row) for row in pixels.reshape(8, 8)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--eager", action="store_true", help="do not compile")
    arguments = parser.parse_args()
    tg.manual_seed(SEED)
    images = tg.from_numpy((load_digits().data / 16.0).astype(np.float32))
    loader = DataLoader(TensorDataset(images), batch_size=128, shuffle=True, drop_last=True)
    model = VAE(LATENT)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    step_loss = loss_of if arguments.eager else tg.compile(loss_of)
    losses: list[float] = []
    for epoch in range(1, arguments.epochs + 1):
        start, total = time.perf_counter(), 0.0
        for (batch,) in loader:
            optimizer.zero_grad()
            loss = step_loss(model, batch)
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(loader))
        print(f"epoch {epoch:3}  loss {losses[-1]:.2f} nats  {1e3 * (time.perf_counter() - start):6.0f} ms")
    with tg.no_grad():
        drawn = tg.sigmoid(model.decoder(tg.randn(4, LATENT))).numpy()
    for lines in zip(*map(picture, drawn), strict=True):
        print("   ".join(lines))
    return 0 if losses[-1] < 0.75 * losses[0] else 1


if __name__ == "__main__":
    sys.exit(main())
