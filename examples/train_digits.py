"""Train an MLP and a CNN on handwritten digits, eager and compiled, from the same seed.

The data are scikit-learn's 1,797 images of 8 x 8 pixels; a fifth is held out for testing. Each model is trained
twice, once as ordinary eager code and once with its training step compiled (forward, backward and update in one
graph), and the two runs are compared: loss curves, test accuracy, time per epoch.

    python examples/train_digits.py [--epochs 20] [--batch 64] [--model mlp|cnn|both]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits

import tracegraph as tg
from tracegraph import nn, optim
from tracegraph.data import DataLoader, TensorDataset
from tracegraph.nn import functional as F

SEED = 0
WANTED_ACCURACY = 0.97
# Relative difference of the two loss curves that float32 rounding in another order explains.
CURVE_TOLERANCE = 1e-2


class MLP(nn.Module):
    """64 -> 128 -> 64 -> 10 with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 128),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.layers(x)


class CNN(nn.Module):
    """Two convolutions with batch normalisation, a max pooling after each, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(32)
        self.head = nn.Linear(32 * 2 * 2, 10)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        return self.head(x.flatten(1))


def loss_of(model: nn.Module, images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    """Cross entropy of the model's logits."""
    return F.cross_entropy(model(images), labels)


def step(model: nn.Module, optimizer: optim.Optimizer, images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    """One step of training; compiled, forward, backward and update are one graph."""
    optimizer.zero_grad()
    loss = loss_of(model, images, labels)
    loss.backward()
    optimizer.step()
    return loss.detach()


def step_inputs(batch: int = 64) -> tuple[nn.Module, tg.Tensor, tg.Tensor]:
    """Arguments of `loss_of` for a first look: `tracegraph dump examples/train_digits.py:loss_of`."""
    tg.manual_seed(SEED)
    return CNN(), tg.randn(batch, 1, 8, 8), tg.randint(0, 10, (batch,))


@dataclass
class Run:
    """What one training run gave."""

    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    accuracy: float = 0.0

    @property
    def epoch_ms(self) -> float:
        """Median time of an epoch after the first, which compiles."""
        return 1e3 * float(np.median(self.seconds[1:] or self.seconds))


def load(batch: int) -> tuple[DataLoader, tg.Tensor, tg.Tensor]:
    """Loader of the training images, test images [N, 1, 8, 8] in [0, 1], test labels [N]."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    order = np.random.default_rng(SEED).permutation(len(images))
    images, labels = images[order], digits.target[order].astype(np.int64)
    split = len(images) * 4 // 5
    train = TensorDataset(tg.from_numpy(images[:split]), tg.from_numpy(labels[:split]))
    loader = DataLoader(train, batch_size=batch, shuffle=True, drop_last=True)
    return loader, tg.from_numpy(images[split:]), tg.from_numpy(labels[split:])


def accuracy_of(model: nn.Module, images: tg.Tensor, labels: tg.Tensor) -> float:
    """Share of the images whose largest logit is the right one."""
    model.eval()
    with tg.no_grad():
        right = (model(images).argmax(1) == labels).float().mean().item()
    model.train()
    return right


def train(make: Callable[[], nn.Module], compiled: bool, epochs: int, batch: int, progress: Progress) -> Run:
    """Train one model from the fixed seed."""
    tg.manual_seed(SEED)
    model = make()
    loader, test_images, test_labels = load(batch)
    train_step = tg.compile(step) if compiled else step
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    name = f"{make.__name__} {'compiled' if compiled else 'eager'}"
    task = progress.add_task(name, total=epochs, loss="")
    run = Run()
    for _ in range(epochs):
        start = time.perf_counter()
        total = 0.0
        for images, labels in loader:
            total += train_step(model, optimizer, images, labels).item()
        run.seconds.append(time.perf_counter() - start)
        run.losses.append(total / len(loader))
        progress.update(task, advance=1, loss=f"loss {run.losses[-1]:.4f}")
    run.accuracy = accuracy_of(model, test_images, test_labels)
    return run


def compare(eager: Run, compiled: Run) -> float:
    """Largest difference of the two loss curves, relative to the first loss."""
    difference = np.abs(np.subtract(eager.losses, compiled.losses))
    return float(difference.max() / eager.losses[0])


def report(console: Console, results: dict[str, tuple[Run, Run]]) -> bool:
    """Print losses per epoch and the comparison; whether every promise was kept."""
    kept = True
    for name, (eager, compiled) in results.items():
        table = Table(title=f"{name}: loss per epoch")
        for column in ("epoch", "eager", "compiled", "eager ms", "compiled ms"):
            table.add_column(column, justify="right")
        for epoch, row in enumerate(zip(eager.losses, compiled.losses, eager.seconds, compiled.seconds, strict=True)):
            table.add_row(
                str(epoch + 1), f"{row[0]:.5f}", f"{row[1]:.5f}", f"{1e3 * row[2]:.0f}", f"{1e3 * row[3]:.0f}"
            )
        console.print(table)
        difference = compare(eager, compiled)
        console.print(
            f"{name}: test accuracy {eager.accuracy:.2%} eager, {compiled.accuracy:.2%} compiled; "
            f"loss curves agree to {difference:.1e} of the first loss; "
            f"median epoch {eager.epoch_ms:.0f} ms eager, {compiled.epoch_ms:.0f} ms compiled "
            f"({eager.epoch_ms / compiled.epoch_ms:.1f}x), first compiled epoch {1e3 * compiled.seconds[0]:.0f} ms\n"
        )
        kept &= difference < CURVE_TOLERANCE and min(eager.accuracy, compiled.accuracy) >= WANTED_ACCURACY
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--model", choices=("mlp", "cnn", "both"), default="both")
    arguments = parser.parse_args()
    makers = {"mlp": [MLP], "cnn": [CNN], "both": [MLP, CNN]}[arguments.model]
    console = Console()
    columns = (
        TextColumn("{task.description:13}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
    )
    results = {}
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        for make in makers:
            runs = [train(make, compiled, arguments.epochs, arguments.batch, progress) for compiled in (False, True)]
            results[make.__name__] = (runs[0], runs[1])
    if report(console, results):
        return 0
    console.print(f"a promise was not kept: accuracy >= {WANTED_ACCURACY:.0%}, curves within {CURVE_TOLERANCE:.0e}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
