"""Real data that need no network: scikit-learn's digits, and the text of Python's own standard library."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import tracegraph as tg

MODULES = ("heapq", "bisect", "textwrap", "fractions", "statistics", "queue", "sched", "calendar")


def digits(scale: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images [1797, 1, 8 * scale, 8 * scale] in [-1, 1] and labels [1797], in a random but fixed order."""
    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.target))
    images = (data.images[order] / 8.0 - 1.0).astype(np.float32)[:, None]
    images = images.repeat(scale, axis=2).repeat(scale, axis=3)
    return images, data.target[order].astype(np.int64)


def digit_batches(batch: int, steps: int, scale: int = 1, seed: int = 0) -> list[tuple[tg.Tensor, tg.Tensor]]:
    """Batches of images and labels, drawn with a fixed seed."""
    images, labels = digits(scale)
    picks = np.random.default_rng(seed).integers(0, len(images), (steps, batch))
    return [(tg.from_numpy(images[p]), tg.from_numpy(labels[p])) for p in picks]


class CharacterText:
    """The sources of some standard library modules as numbers, one per character (ASCII; 96 different ones).

    Attributes:
        vocabulary_size: how many different numbers there are.
        data: the whole text, int64 [length].
    """

    vocabulary_size = 96

    def __init__(self) -> None:
        root = Path(sysconfig.get_path("stdlib"))
        text = "\n".join((root / f"{name}.py").read_text(encoding="utf-8") for name in MODULES)
        self.data = self.encode(text)

    def encode(self, text: str) -> np.ndarray:
        """Characters as numbers: newline is 0, the printable ASCII characters follow, others become '?'."""
        raw = np.frombuffer(text.encode("ascii", errors="replace"), np.uint8).astype(np.int64) - 31
        return np.where((raw > 0) & (raw < self.vocabulary_size), raw, 0)

    def decode(self, numbers: list[int]) -> str:
        """The text that `encode` makes these numbers from."""
        return "".join(chr(n + 31) if n else "\n" for n in numbers)

    def batches(self, batch: int, length: int, steps: int, seed: int = 0) -> list[tuple[tg.Tensor, tg.Tensor]]:
        """Windows of `length` characters and the same moved on by one, both [batch, length]."""
        starts = np.random.default_rng(seed).integers(0, len(self.data) - length - 1, (steps, batch, 1))
        windows = starts + np.arange(length)
        return [(tg.from_numpy(self.data[w]), tg.from_numpy(self.data[w + 1])) for w in windows]
