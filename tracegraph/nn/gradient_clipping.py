"""Bounding gradients before an optimiser's step; reached as `nn.utils` too, as in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tracegraph.autograd import no_grad
from tracegraph.errors import AutogradError
from tracegraph.ops import functional as ops
from tracegraph.tensor import Tensor


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in listed if p.grad is not None]


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all tensors as one vector."""
    listed = list(tensors)
    if not listed:
        return ops.zeros(())
    norms = ops.stack([_norm(t, norm_type) for t in listed])
    return _norm(norms, norm_type)


def _norm(x: Tensor, p: float) -> Tensor:
    return ops.vector_norm(x, p)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients so that their common norm is at most `max_norm`; returns the norm they had.

    Raises:
        AutogradError: the norm is nan or infinite and `error_if_nonfinite` is set.
    """
    with no_grad():
        gradients = _gradients(parameters)
        total = get_total_norm(gradients, norm_type)
        if error_if_nonfinite and not math.isfinite(total.item()):
            raise AutogradError(f"clip_grad_norm_: the total norm of order {norm_type} is {total.item()}")
        factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factor)
        return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clamp every element of the gradients to [-clip_value, clip_value]."""
    with no_grad():
        for gradient in _gradients(parameters):
            gradient.clamp_(-clip_value, clip_value)
