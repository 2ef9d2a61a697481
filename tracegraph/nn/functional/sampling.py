"""Random choices with gradients."""

from __future__ import annotations

from typing import Any

from tracegraph.errors import ValueRangeError
from tracegraph.ops import functional as ops

#: errors of the ops speak of the functions
NAMES_ERRORS = True

# uniform numbers may be 0, whose logarithm is not finite
_TINY = 2.0**-126


def gumbel_softmax(logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """Samples of the Gumbel-softmax distribution (Jang, Gu, Poole 2017): nearly one-hot where `tau` is small.

    With `hard` exactly one-hot, with the gradient of the soft sample. `eps` has no effect, as in PyTorch.

    Raises:
        ValueRangeError: `tau` is not positive.
    """
    if tau <= 0:
        raise ValueRangeError(f"gumbel_softmax: tau={tau} must be positive")
    exponential = (-ops.log1p(-ops.rand_like(logits))).clamp(min=_TINY)
    soft = ((logits - exponential.log()) / tau).softmax(dim)
    if not hard:
        return soft
    largest = soft.max(dim, keepdim=True).indices
    one_hot = ops.zeros_like(soft).scatter(dim, largest, 1.0)
    return one_hot - soft.detach() + soft
