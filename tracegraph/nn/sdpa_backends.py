"""The choice between implementations of attention (`torch.nn.attention`), of which there is one here."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.core.arguments import described


class SDPBackend(enum.IntEnum):
    """Implementations of `scaled_dot_product_attention` in PyTorch."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends: Sequence[SDPBackend] | SDPBackend, set_priority: bool = False) -> Iterator[None]:
    """A block in which PyTorch would use one of these implementations; here the results are those of all.

    Raises:
        ArgumentError: something is no SDPBackend.
        ValueRangeError: none is given.
    """
    listed = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not listed:
        raise ValueRangeError("sdpa_kernel: at least one backend must be given")
    for backend in listed:
        if not isinstance(backend, SDPBackend):
            raise ArgumentError(f"sdpa_kernel: expected SDPBackend members, got {described(backend)}")
    yield
