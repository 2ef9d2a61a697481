"""Apple's devices, which are not used."""

from __future__ import annotations


def is_available() -> bool:
    """False: tracegraph runs on the CPU."""
    return False


def is_built() -> bool:
    """False: tracegraph runs on the CPU."""
    return False
