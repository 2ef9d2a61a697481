"""Intel's library of matrix products, which is not there."""

from __future__ import annotations


def is_available() -> bool:
    """False: tracegraph compiles its own kernels, and multiplies matrices with numpy's library."""
    return False
