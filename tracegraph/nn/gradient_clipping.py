"""Bounding gradients before an optimiser's step; reached as `nn.utils` too, as in PyTorch.

`foreach` is accepted everywhere and changes nothing: compiled code is fused as it is.
"""

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


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors as one vector.

    Raises:
        AutogradError: the norm is nan or infinite and `error_if_nonfinite` is set.
    """
    listed = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    total = _norm(ops.stack([_norm(t, norm_type) for t in listed]), norm_type) if listed else ops.zeros(())
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise AutogradError(f"the total norm of order {norm_type} is {total.item()}")
    return total


def _norm(x: Tensor, p: float) -> Tensor:
    return ops.vector_norm(x, p)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients so that their common norm is at most `max_norm`; returns the norm they had.

    Raises:
        AutogradError: the norm is nan or infinite and `error_if_nonfinite` is set.
    """
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    with no_grad():
        total = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients by `max_norm / total_norm`, if that is below 1; `total_norm` is the norm that they have."""
    with no_grad():
        factor = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
        for gradient in _gradients(parameters):
            gradient.mul_(factor)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clamp every element of the gradients to [-clip_value, clip_value]."""
    with no_grad():
        for gradient in _gradients(parameters):
            gradient.clamp_(-clip_value, clip_value)
