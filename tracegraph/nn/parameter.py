"""Tensors that modules own and optimisers change."""

from __future__ import annotations

from typing import Any

from tracegraph.errors import ArgumentError
from tracegraph.ops import functional as ops
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.tensor import Tensor


class Buffer(Tensor):
    """A tensor that registers itself as a buffer when it is assigned to an attribute of a `Module`.

    Args:
        data: the tensor whose memory the buffer shares; an empty one by default.
        persistent: whether the buffer is in the module's `state_dict`.

    Raises:
        ArgumentError: `data` is not a tensor.
    """

    __slots__ = ("persistent",)

    persistent: bool

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        if data is None:
            data = ops.empty((0,))
        if not isinstance(data, Tensor):
            raise ArgumentError(f"Buffer() takes a Tensor, got {type(data).__name__}; use tracegraph.tensor(...)")
        super().__init__(data.detach().numpy())
        self.requires_grad_(data.requires_grad)
        self.persistent = persistent


class Parameter(Tensor):
    """A tensor that registers itself when it is assigned to an attribute of a `Module`.

    Unlike other tensors it takes attributes of a program's own (`p.no_decay = True`).

    Args:
        data: the tensor whose memory the parameter shares; an empty one by default.
        requires_grad: whether gradients are computed for it.

    Raises:
        ArgumentError: `data` is not a tensor.
    """

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        if data is None:
            data = ops.empty((0,))
        if not isinstance(data, Tensor):
            raise ArgumentError(f"Parameter() takes a Tensor, got {type(data).__name__}; use tracegraph.tensor(...)")
        super().__init__(data.detach().numpy())
        self.requires_grad_(requires_grad)


REPLACEMENTS.seal(Buffer, Parameter)


def __getattr__(name: str) -> Any:
    """PyTorch has these here; they derive from what stands above."""
    if name in ("UninitializedBuffer", "UninitializedParameter", "is_lazy"):
        from tracegraph.nn import uninitialized

        return getattr(uninitialized, "is_uninitialized" if name == "is_lazy" else name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
