"""A physics-informed neural network (Raissi et al. 2017, arXiv:1711.10561): a differential equation as the loss.

    python examples/models/pinn.py

solves the heat equation u_t = a u_xx on a rod, u(0, x) = sin(pi x), u(t, 0) = u(t, 1) = 0, and compares with the exact
solution exp(-a pi^2 t) sin(pi x), and a compiled step with an eager one.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from support.training import train

import tracegraph as tg
from tracegraph import nn


class MLP(nn.Module):
    """Linear layers with tanh between, whose activations learn a common slope (arXiv:1906.01170)."""

    def __init__(self, layers: list[int], adaptive: bool = True) -> None:
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(a, b) for a, b in zip(layers[:-1], layers[1:])])
        self.slope = nn.Parameter(tg.tensor(1.0)) if adaptive else None
        self.activation = nn.Tanh()
        self.register_buffer("lower", tg.tensor([0.0, 0.0]))
        self.register_buffer("upper", tg.tensor([1.0, 1.0]))
        for linear in self.linears:
            nn.init.xavier_normal_(linear.weight.data, gain=1.0)
            nn.init.zeros_(linear.bias.data)

    def forward(self, t: tg.Tensor, x: tg.Tensor) -> tg.Tensor:
        h = tg.cat([t, x], dim=1)
        h = 2.0 * (h - self.lower) / (self.upper - self.lower) - 1.0
        for linear in self.linears[:-1]:
            h = linear(h)
            if self.slope is not None:
                h = self.slope * h
            h = self.activation(h)
        return self.linears[-1](h)


class HeatPINN(nn.Module):
    """The solution, and the residual of the equation."""

    def __init__(self, layers: list[int], diffusivity: float = 0.1) -> None:
        super().__init__()
        self.net = MLP(layers)
        self.diffusivity = diffusivity

    def forward(self, t: tg.Tensor, x: tg.Tensor) -> tg.Tensor:
        return self.net(t, x)

    def residual(self, t: tg.Tensor, x: tg.Tensor) -> tg.Tensor:
        """u_t - a u_xx at the points (t, x), which must require gradients."""
        u = self.net(t, x)
        u_t = tg.autograd.grad(u, t, grad_outputs=tg.ones_like(u), retain_graph=True, create_graph=True)[0]
        u_x = tg.autograd.grad(u, x, grad_outputs=tg.ones_like(u), retain_graph=True, create_graph=True)[0]
        u_xx = tg.autograd.grad(u_x, x, grad_outputs=tg.ones_like(u_x), retain_graph=True, create_graph=True)[0]
        return u_t - self.diffusivity * u_xx


def small() -> HeatPINN:
    """Two hidden layers of 24."""
    return HeatPINN([2, 24, 24, 1])


def example_inputs(batch: int = 8) -> tuple[tg.Tensor, tg.Tensor]:
    return tg.rand(batch, 1), tg.rand(batch, 1)


def example_batch(batch: int = 8) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    return tg.rand(batch, 1, requires_grad=True), tg.rand(batch, 1, requires_grad=True), tg.rand(batch, 1)


def loss_of(model: HeatPINN, t: tg.Tensor, x: tg.Tensor, edge: tg.Tensor) -> tg.Tensor:
    """Mean squares of the residual at (t, x), and of the differences at the start and at both ends."""
    f = model.residual(t, x)
    initial = model(tg.zeros_like(edge), edge) - tg.sin(math.pi * edge)
    left = model(edge, tg.zeros_like(edge))
    right = model(edge, tg.ones_like(edge))
    return tg.mean(f**2) + 5.0 * (tg.mean(initial**2) + tg.mean(left**2) + tg.mean(right**2))


def points(count: int, steps: int) -> list[tuple[tg.Tensor, tg.Tensor, tg.Tensor]]:
    """Random points inside the domain, and on its edges."""
    rng = np.random.default_rng(0)
    drawn = rng.random((steps, 3, count, 1), dtype=np.float32)
    return [(tg.tensor(t, requires_grad=True), tg.tensor(x, requires_grad=True), tg.tensor(e)) for t, x, e in drawn]


def main() -> int:
    tg.manual_seed(0)
    model = small()
    train(model, loss_of, points(128, 200), lr=1e-2, falls_to=0.1)
    t, x = tg.meshgrid(tg.linspace(0, 1, 20), tg.linspace(0, 1, 20), indexing="ij")
    exact = tg.exp(-0.1 * math.pi**2 * t) * tg.sin(math.pi * x)
    with tg.no_grad():
        found = tg.compile(model)(t.reshape(-1, 1), x.reshape(-1, 1)).view(20, 20)
    error = ((found - exact).square().mean() / exact.square().mean()).sqrt().item()
    print(f"relative error of the solution {error:.1%}")
    return 0 if error < 0.1 else 1


if __name__ == "__main__":
    sys.exit(main())
