"""Automatic mixed precision: matrix products and convolutions in 16 bits, what needs range or digits in float32.

Which op does what stands in its definition (`Definition.autocast`); the choice follows PyTorch's lists for the CPU.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import ArgumentError
from tracegraph.ops.core.arguments import described
from tracegraph.ops.core.autocast import AUTOCASTING
from tracegraph.optim.grad_scaler import GradScaler

F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "GradScaler",
    "autocast",
    "get_autocast_dtype",
    "is_autocast_available",
    "is_autocast_cache_enabled",
    "is_autocast_enabled",
    "set_autocast_cache_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled",
]

_DEVICES = ("cpu",)
_DTYPES = (dtypes.bfloat16, dtypes.float16)


class autocast:
    """Let ops choose their precision in the block, or in the decorated function (`torch.autocast`).

    Gradients are computed in the dtypes that forward used, wherever `backward` is called; a parameter's gradient has
    the parameter's dtype.

    Args:
        device_type: "cpu", the only device there is.
        dtype: the low-precision dtype, bfloat16 or float16; by default what `get_autocast_dtype` says. Another one
            turns autocasting off in the block, with a warning.
        enabled: False turns autocasting off in the block.
        cache_enabled: accepted for compatibility. Nothing is cached: a cast is made where it is needed, and a compiled
            graph makes equal ones once.

    Raises:
        ArgumentError: another device, or a dtype that is none.
    """

    def __init__(
        self,
        device_type: str = "cpu",
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        check_device_type("autocast", device_type)
        if dtype is not None and not isinstance(dtype, DType):
            raise ArgumentError(f"autocast: argument 'dtype' must be a dtype, got {described(dtype)}")
        self.device_type = device_type
        self.fast_dtype = AUTOCASTING.dtype if dtype is None else dtype
        self.enabled = bool(enabled)
        self.cache_enabled = AUTOCASTING.cache_enabled if cache_enabled is None else bool(cache_enabled)
        if self.enabled and self.fast_dtype not in _DTYPES:
            warnings.warn(
                f"autocast to {self.fast_dtype} is not possible, only to bfloat16 and float16; it is turned off",
                stacklevel=2,
            )
            self.enabled = False
        self._previous: list[tuple[bool, DType, bool]] = []

    def __enter__(self) -> autocast:
        state = AUTOCASTING
        self._previous.append((state.enabled, state.dtype, state.cache_enabled))
        state.dtype = self.fast_dtype
        state.cache_enabled = self.cache_enabled
        state.enabled = self.enabled
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        enabled, dtype, cache_enabled = self._previous.pop()
        AUTOCASTING.dtype = dtype
        AUTOCASTING.cache_enabled = cache_enabled
        AUTOCASTING.enabled = enabled

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]


def check_device_type(function: str, device_type: object) -> None:
    """Refuse what is no name of a device that there is.

    Raises:
        ArgumentError: it is not "cpu".
    """
    if device_type not in _DEVICES:
        raise ArgumentError(f"{function}: argument 'device_type' must be \"cpu\", the only device, got {device_type!r}")


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether ops called on this thread choose their precision."""
    check_device_type("is_autocast_enabled", device_type)
    return AUTOCASTING.enabled


def set_autocast_enabled(device_type: str, enabled: bool) -> None:
    """Turn autocasting on or off on this thread, until further notice."""
    check_device_type("set_autocast_enabled", device_type)
    AUTOCASTING.enabled = bool(enabled)


def get_autocast_dtype(device_type: str = "cpu") -> DType:
    """The low-precision dtype of this thread."""
    check_device_type("get_autocast_dtype", device_type)
    return AUTOCASTING.dtype


def set_autocast_dtype(device_type: str, dtype: DType) -> None:
    """Choose the low-precision dtype of this thread."""
    check_device_type("set_autocast_dtype", device_type)
    if dtype not in _DTYPES:
        raise ArgumentError(f"set_autocast_dtype: dtype must be bfloat16 or float16, got {described(dtype)}")
    AUTOCASTING.dtype = dtype


def is_autocast_cache_enabled() -> bool:
    """What `cache_enabled` was given to the innermost `autocast` block; see there."""
    return AUTOCASTING.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """See `is_autocast_cache_enabled`."""
    AUTOCASTING.cache_enabled = bool(enabled)


def is_autocast_available(device_type: str) -> bool:
    """Whether there is autocasting for a device: for "cpu"."""
    return device_type in _DEVICES
