"""Random orders of examples, from tracegraph's own generator: a seed gives the same batches on every machine."""

from __future__ import annotations

import numpy as np

from tracegraph.ops.generator import Generator, default_generator


def numpy_generator(generator: Generator | None) -> np.random.Generator:
    """A numpy generator seeded by one draw of `generator` (default: the global one)."""
    seed, draw = (default_generator if generator is None else generator).next_key().tolist()
    return np.random.Generator(np.random.Philox(key=[seed & (2**64 - 1), draw]))


def permutation(count: int, generator: Generator | None) -> list[int]:
    """0 to count - 1 in random order."""
    return numpy_generator(generator).permutation(count).tolist()
