"""How PyTorch computes on NVIDIA's devices, of which there are none; the switches change nothing."""

from __future__ import annotations


class _MatmulSwitches:
    """Precision of matrix products there."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _MatmulSwitches()


def is_built() -> bool:
    """False: tracegraph runs on the CPU."""
    return False


def flash_sdp_enabled() -> bool:
    """False: attention is computed in one way."""
    return False


def mem_efficient_sdp_enabled() -> bool:
    """False: attention is computed in one way."""
    return False


def math_sdp_enabled() -> bool:
    """True: attention is computed as its formula says."""
    return True


def enable_flash_sdp(enabled: bool) -> None:
    """Nothing: there is one way to compute attention."""


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Nothing: there is one way to compute attention."""


def enable_math_sdp(enabled: bool) -> None:
    """Nothing: there is one way to compute attention."""
