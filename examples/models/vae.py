"""A convolutional variational autoencoder (Kingma & Welling 2013, arXiv:1312.6114).

    python examples/models/vae.py

trains a small one on handwritten digits, compares a compiled step with an eager one, and draws new digits.
"""

from __future__ import annotations

import sys

from support.data import digit_batches
from support.training import train

import tracegraph as tg
from tracegraph import nn
from tracegraph.nn import functional as F


class VAE(nn.Module):
    """Strided convolutions to the mean and log variance of a Gaussian, transposed convolutions back."""

    def __init__(self, in_channels: int, latent_dim: int, hidden_dims: list[int] | None = None, size: int = 64) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        if hidden_dims is None:
            hidden_dims = [32, 64, 128, 256]
        self.hidden_dims = list(hidden_dims)
        self.final_size = size // 2 ** len(hidden_dims)

        modules = []
        channels = in_channels
        for h_dim in hidden_dims:
            modules.append(
                nn.Sequential(
                    nn.Conv2d(channels, h_dim, kernel_size=3, stride=2, padding=1),
                    nn.BatchNorm2d(h_dim),
                    nn.LeakyReLU(),
                )
            )
            channels = h_dim
        self.encoder = nn.Sequential(*modules)
        flat = hidden_dims[-1] * self.final_size**2
        self.fc_mu = nn.Linear(flat, latent_dim)
        self.fc_var = nn.Linear(flat, latent_dim)

        self.decoder_input = nn.Linear(latent_dim, flat)
        reversed_dims = [*reversed(hidden_dims), hidden_dims[0]]
        modules = []
        for before, after in zip(reversed_dims[:-1], reversed_dims[1:]):
            modules.append(
                nn.Sequential(
                    nn.ConvTranspose2d(before, after, kernel_size=3, stride=2, padding=1, output_padding=1),
                    nn.BatchNorm2d(after),
                    nn.LeakyReLU(),
                )
            )
        self.decoder = nn.Sequential(*modules)
        self.final_layer = nn.Sequential(
            nn.Conv2d(hidden_dims[0], in_channels, kernel_size=3, padding=1),
            nn.Tanh(),
        )

    def encode(self, input: tg.Tensor) -> list[tg.Tensor]:
        """Mean and log variance, both [B, latent_dim]."""
        result = self.encoder(input)
        result = tg.flatten(result, start_dim=1)
        return [self.fc_mu(result), self.fc_var(result)]

    def decode(self, z: tg.Tensor) -> tg.Tensor:
        """Images for latent vectors [B, latent_dim]."""
        result = self.decoder_input(z)
        result = result.view(-1, self.hidden_dims[-1], self.final_size, self.final_size)
        return self.final_layer(self.decoder(result))

    def reparameterize(self, mu: tg.Tensor, logvar: tg.Tensor) -> tg.Tensor:
        """A draw from the Gaussian in training, its mean in evaluation."""
        if self.training:
            std = tg.exp(0.5 * logvar)
            eps = tg.randn_like(std)
            return eps * std + mu
        return mu

    def forward(self, input: tg.Tensor, **kwargs: object) -> dict[str, tg.Tensor]:
        mu, log_var = self.encode(input)
        z = self.reparameterize(mu, log_var)
        return {"reconstruction": self.decode(z), "input": input, "mu": mu, "log_var": log_var}

    def loss_function(
        self, reconstruction: tg.Tensor, input: tg.Tensor, mu: tg.Tensor, log_var: tg.Tensor, kld_weight: float = 1.0
    ) -> dict[str, tg.Tensor]:
        recons_loss = F.mse_loss(reconstruction, input)
        kld_loss = tg.mean(-0.5 * tg.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
        loss = recons_loss + kld_weight * kld_loss
        return {"loss": loss, "Reconstruction_Loss": recons_loss.detach(), "KLD": -kld_loss.detach()}

    @tg.no_grad()
    def sample(self, num_samples: int) -> tg.Tensor:
        """New images."""
        z = tg.randn(num_samples, self.latent_dim)
        return self.decode(z)


def small() -> VAE:
    """Two levels for digits of 16x16 pixels."""
    return VAE(in_channels=1, latent_dim=8, hidden_dims=[8, 16], size=16)


def example_inputs(batch: int = 4) -> tuple[tg.Tensor]:
    return (tg.rand(batch, 1, 16, 16) * 2 - 1,)


def example_batch(batch: int = 4) -> tuple[tg.Tensor]:
    return example_inputs(batch)


def loss_of(model: VAE, images: tg.Tensor) -> tg.Tensor:
    return model.loss_function(**model(images), kld_weight=0.002)["loss"]


def main() -> int:
    tg.manual_seed(0)
    model = small()
    train(model, loss_of, [(x,) for x, _ in digit_batches(batch=32, steps=60, scale=2)], lr=5e-3, falls_to=0.6)
    model.eval()
    drawn = model.sample(4)[:, 0, ::2, ::2].clamp(-0.99, 0.99)
    for row in range(8):
        print("   ".join("".join(" .:-=+*#%@"[int(5 * v + 5)] * 2 for v in image[row].tolist()) for image in drawn))
    return 0


if __name__ == "__main__":
    sys.exit(main())
