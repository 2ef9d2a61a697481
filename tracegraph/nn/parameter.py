"""Tensors that modules own and optimisers change."""

from __future__ import annotations

from typing import Any

from tracegraph.errors import ArgumentError
from tracegraph.ops import functional as ops
from tracegraph.tensor import Tensor


class Parameter(Tensor):
    """A tensor that registers itself when it is assigned to an attribute of a `Module`.

    Args:
        data: the tensor whose memory the parameter shares; an empty one by default.
        requires_grad: whether gradients are computed for it.

    Raises:
        ArgumentError: `data` is not a tensor.
    """

    __slots__ = ()

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        if data is None:
            data = ops.empty((0,))
        if not isinstance(data, Tensor):
            raise ArgumentError(f"Parameter() takes a Tensor, got {type(data).__name__}; use tracegraph.tensor(...)")
        super().__init__(data.detach().numpy())
        self.requires_grad_(requires_grad)
