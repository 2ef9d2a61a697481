"""What scripts ask of CUDA before they choose a device; the answer is always that there is none.

What acts on a device that does not exist does nothing, where PyTorch without CUDA does nothing either, and else raises.
"""

from __future__ import annotations

from typing import Any, NoReturn

from tracegraph.errors import ArgumentError


def is_available() -> bool:
    """False: tracegraph runs on the CPU."""
    return False


def is_initialized() -> bool:
    """False: there is nothing to initialise."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no device."""
    return False


def device_count() -> int:
    """0: tracegraph runs on the CPU."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there are no generators on other devices; `tracegraph.manual_seed` seeds the one there is."""


def manual_seed_all(seed: int) -> None:
    """Nothing: there are no generators on other devices; `tracegraph.manual_seed` seeds the one there is."""


def empty_cache() -> None:
    """Nothing: there is no memory of a device."""


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing: there is no memory of a device."""


def memory_allocated(device: Any = None) -> int:
    """0: there is no memory of a device."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """0: there is no memory of a device."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """0: there is no memory of a device."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """0: there is no memory of a device."""
    return 0


def _no_device(what: str) -> NoReturn:
    raise ArgumentError(f"cuda.{what}: there is no CUDA device; tracegraph runs on 'cpu' (see cuda.is_available())")


def synchronize(device: Any = None) -> NoReturn:
    """Always an error, as in PyTorch without CUDA.

    Raises:
        ArgumentError: always.
    """
    _no_device("synchronize()")


def current_device() -> NoReturn:
    """Always an error, as in PyTorch without CUDA.

    Raises:
        ArgumentError: always.
    """
    _no_device("current_device()")


def set_device(device: Any) -> NoReturn:
    """Always an error, as in PyTorch without CUDA.

    Raises:
        ArgumentError: always.
    """
    _no_device("set_device()")


def get_device_name(device: Any = None) -> NoReturn:
    """Always an error, as in PyTorch without CUDA.

    Raises:
        ArgumentError: always.
    """
    _no_device("get_device_name()")


def get_device_properties(device: Any = None) -> NoReturn:
    """Always an error, as in PyTorch without CUDA.

    Raises:
        ArgumentError: always.
    """
    _no_device("get_device_properties()")


def get_device_capability(device: Any = None) -> NoReturn:
    """Always an error, as in PyTorch without CUDA.

    Raises:
        ArgumentError: always.
    """
    _no_device("get_device_capability()")
