"""Many parameters as one vector, for optimisers that think in vectors."""

from __future__ import annotations

from collections.abc import Iterable

from tracegraph.errors import ShapeError
from tracegraph.ops import functional as ops
from tracegraph.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one parameter after another."""
    return ops.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Let the parameters hold the elements of `vec`, in order.

    Raises:
        ShapeError: `vec` does not have exactly as many elements.
    """
    listed = list(parameters)
    if vec.ndim != 1 or vec.numel() != sum(p.numel() for p in listed):
        raise ShapeError(
            f"vector_to_parameters: the vector of shape {list(vec.shape)} must have as many elements as parameters, "
            f"{sum(p.numel() for p in listed)}"
        )
    for p, part in zip(listed, vec.split([p.numel() for p in listed]), strict=True):
        p.data = part.reshape(p.shape).detach().clone()
