"""A variational autoencoder (Kingma & Welling 2013, arXiv:1312.6114) whose two networks are convolutional.

    python examples/models/vae.py

trains a small one on handwritten digits, compares a compiled step with an eager one, and draws digits that never were.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypedDict

from support.data import digit_batches
from support.training import train

import tracegraph as tg
from tracegraph import nn


@dataclass(frozen=True)
class Settings:
    """Square images of `side` pixels, which each entry of `widths` halves.

    `noise` is the standard deviation that a pixel is taken to have around what the decoder says.
    """

    colours: int = 3
    side: int = 64
    widths: tuple[int, ...] = (32, 64, 128, 256)
    latents: int = 128
    noise: float = 0.5

    @property
    def innermost(self) -> tuple[int, int, int]:
        """The shape of an image's features between the convolutions and the linear maps."""
        side = self.side >> len(self.widths)
        return self.widths[-1], side, side


class Posterior(NamedTuple):
    """What an image says of its latents: independent Gaussians, both tensors [B, latents]."""

    mean: tg.Tensor
    log_variance: tg.Tensor

    def draw(self) -> tg.Tensor:
        """Latents through which the gradient reaches both parameters (section 2.4 of the paper)."""
        return self.mean + tg.randn_like(self.mean) * self.log_variance.div(2).exp()

    def divergence(self) -> tg.Tensor:
        """The Kullback-Leibler divergence from the standard Gaussian, in nats [B] (appendix B of the paper)."""
        surplus = self.log_variance.exp() - 1 - self.log_variance
        return (self.mean.square() + surplus).sum(dim=1) / 2


class Restored(TypedDict):
    """Images [B, colours, side, side] as the model gives them back, and the latents they went through."""

    images: tg.Tensor
    posterior: Posterior


def activated(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """A convolution, which needs no bias since the normalisation takes the mean away, and what follows it."""
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.LeakyReLU())


def halving(before: int, after: int) -> nn.Sequential:
    return activated(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False))


def doubling(before: int, after: int) -> nn.Sequential:
    return activated(nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1, bias=False))


class Encoder(nn.Module):
    """From images to what is known of their latents."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.stages = nn.ModuleList(halving(*pair) for pair in pairwise((settings.colours, *settings.widths)))
        channels, height, width = settings.innermost
        self.moments = nn.Linear(channels * height * width, 2 * settings.latents)

    def forward(self, images: tg.Tensor) -> Posterior:
        for stage in self.stages:
            images = stage(images)
        return Posterior(*self.moments(images.flatten(1)).chunk(2, dim=1))


class Decoder(nn.Module):
    """From latents to the expected image, its pixels in [-1, 1]."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        narrowest = settings.widths[0]
        self.shape = settings.innermost
        channels, height, width = self.shape
        self.spread = nn.Linear(settings.latents, channels * height * width)
        self.stages = nn.ModuleList(doubling(*pair) for pair in pairwise((*reversed(settings.widths), narrowest)))
        self.paint = nn.Conv2d(narrowest, settings.colours, 3, padding=1)

    def forward(self, latents: tg.Tensor) -> tg.Tensor:
        features = self.spread(latents).unflatten(1, self.shape)
        for stage in self.stages:
            features = stage(features)
        return self.paint(features).tanh()


class VAE(nn.Module):
    """Encoder and decoder, trained together on the bound of the likelihood."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = Encoder(settings)
        self.decoder = Decoder(settings)

    def forward(self, images: tg.Tensor) -> Restored:
        """Through latents that are drawn in training; in evaluation the most likely ones."""
        posterior = self.encoder(images)
        latents = posterior.draw() if self.training else posterior.mean
        return {"images": self.decoder(latents), "posterior": posterior}

    def costs(self, wanted: tg.Tensor, *, images: tg.Tensor, posterior: Posterior) -> dict[str, tg.Tensor]:
        """The terms of the negative bound, in nats per image, without the constant of the pixels' Gaussians."""
        misses = (wanted - images).square().flatten(1).sum(dim=1)
        return {
            "pixels": misses.mean() / (2 * self.settings.noise**2),
            "latents": posterior.divergence().mean(),
        }

    @tg.no_grad()
    def sample(self, count: int) -> tg.Tensor:
        """Images of latents from the standard Gaussian."""
        return self.decoder(tg.randn(count, self.settings.latents))


def small() -> VAE:
    """Digits of 16x16 pixels through 8 latents."""
    return VAE(Settings(colours=1, side=16, widths=(8, 16), latents=8))


def example_inputs(batch: int = 4) -> tuple[tg.Tensor]:
    return (tg.empty(batch, 1, 16, 16).uniform_(-1, 1),)


def example_batch(batch: int = 4) -> tuple[tg.Tensor]:
    return example_inputs(batch)


def loss_of(model: VAE, images: tg.Tensor) -> tg.Tensor:
    return sum(model.costs(images, **model(images)).values())


def show(images: tg.Tensor, shades: str = " .:-=+*#%@") -> None:
    """Print grey images [N, height, width] side by side; -1 is the first shade, 1 the last."""
    darkness = ((images + 1) / 2 * len(shades)).long().clamp(0, len(shades) - 1)
    for line in darkness.transpose(0, 1).tolist():  # of all images
        print("   ".join("".join(2 * shades[pixel] for pixel in row) for row in line))


def main() -> int:
    tg.manual_seed(0)
    model = small()
    batches = [(images,) for images, _ in digit_batches(batch=32, steps=60, scale=2)]
    train(model, loss_of, batches, lr=5e-3, falls_to=0.6)
    show(model.eval().sample(4)[:, 0, ::2, ::2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
