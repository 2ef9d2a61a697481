"""Eager tensors in a function that is mapped over samples (`vmap`): what the function sees of its arguments."""

from __future__ import annotations

from typing import Any, NoReturn

from tracegraph.errors import VmapError
from tracegraph.ops.graphs.batched import BatchedMethods, Level, register_batched
from tracegraph.tensor.tensor import Tensor


class BatchedTensor(BatchedMethods, Tensor):  # type: ignore[misc]
    """One sample by shape, all of them by elements.

    Its history is that of `inner`, the tensor of all samples.
    """

    __slots__ = ("inner", "level")

    inner: Tensor

    def __init__(self, level: Level, inner: Tensor) -> None:
        self.level = level
        self.inner = inner
        self.dtype = inner.dtype
        self.grad = None

    @property
    def _np(self) -> NoReturn:  # type: ignore[override]
        raise VmapError(
            f"vmap: the elements of a tensor of shape {list(self.shape)} that differs from sample to sample are not at "
            "hand: the function runs once for all samples; compute with tensors, or do this outside of vmap"
        )

    @property
    def _version(self) -> int:
        return self.inner._version

    @property
    def grad_fn(self) -> Any:
        return self.inner.grad_fn

    @property
    def _base(self) -> Tensor | None:
        return None

    @property
    def data(self) -> Any:
        """The same elements without history."""
        return self.level.wrap(self.inner.data)

    @data.setter
    def data(self, value: Tensor) -> None:
        raise VmapError("vmap: tensor.data cannot be set in the mapped function")

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Always an error, as in PyTorch.

        Raises:
            VmapError: always.
        """
        raise VmapError(
            "vmap: requires_grad_() in the mapped function; differentiate in it with func.grad, func.vjp or their kin, "
            "or differentiate the result of vmap"
        )

    def backward(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Always an error, as in PyTorch.

        Raises:
            VmapError: always.
        """
        raise VmapError(
            "vmap: backward() in the mapped function; use func.grad or func.vjp there, or call backward() outside"
        )

    def register_hook(self, hook: Any) -> NoReturn:
        """Always an error: a gradient is that of all samples.

        Raises:
            VmapError: always.
        """
        raise VmapError("vmap: a hook on a tensor of the mapped function; register it on what vmap is given")

    def _become(self, view: Tensor) -> Tensor:
        assert isinstance(view, BatchedTensor)
        self.inner = view.inner
        return self


register_batched(BatchedTensor)
