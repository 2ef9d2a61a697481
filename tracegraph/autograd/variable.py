"""`Variable`, what tensors with gradients were before PyTorch 0.4."""

from __future__ import annotations

from tracegraph.tensor import Tensor


class _VariableMeta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)

    def __call__(cls, data: Tensor, requires_grad: bool = False) -> Tensor:
        """A tensor in the memory of `data`."""
        found: Tensor = data.detach().requires_grad_(requires_grad)
        return found


class Variable(metaclass=_VariableMeta):
    """Calls give tensors, and every tensor is an instance."""
