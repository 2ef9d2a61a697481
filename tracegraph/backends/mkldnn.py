"""Intel's library of neural networks, which is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

enabled = False


def is_available() -> bool:
    """False: tracegraph compiles its own kernels."""
    return False


@contextmanager
def flags(enabled: bool = False, deterministic: bool = False, allow_tf32: bool = True) -> Iterator[None]:
    """A block in which other switches hold; they change nothing."""
    yield
