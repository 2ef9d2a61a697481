"""What scripts ask of CUDA before they choose a device; the answer is always that there is none."""

from __future__ import annotations


def is_available() -> bool:
    """False: tracegraph runs on the CPU."""
    return False


def device_count() -> int:
    """0: tracegraph runs on the CPU."""
    return 0


def manual_seed_all(seed: int) -> None:
    """Nothing: there are no generators on other devices; `tracegraph.manual_seed` seeds the one there is."""
