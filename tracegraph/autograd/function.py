"""User-defined differentiable functions: forward and backward written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracegraph.autograd.grad_mode import STATE, no_grad
from tracegraph.autograd.tape import Node, attach, edge_to
from tracegraph.errors import AutogradError
from tracegraph.tensor.tensor import Tensor


class Context:
    """Carries values from `forward` to `backward`; any attribute may be set on it."""

    def __init__(self) -> None:
        self._saved: tuple[Tensor, ...] = ()
        self._versions: tuple[int, ...] = ()
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep tensors for `backward`; a later in-place change of one is an error there."""
        self._saved = tensors
        self._versions = tuple(t._version for t in tensors)

    @property
    def saved_tensors(self) -> tuple[Tensor, ...]:
        for tensor, version in zip(self._saved, self._versions, strict=True):
            if tensor._version != version:
                raise AutogradError(
                    f"a tensor of shape {list(tensor.shape)} saved for backward was modified by an in-place operation"
                )
        return self._saved


class FunctionNode(Node):
    """The tape node of one application."""

    __slots__ = ("context", "function")

    def __init__(self, function: type[Function], context: Context, args: Sequence[Any], results: int) -> None:
        super().__init__(tuple(map(edge_to, args)), results)
        self.function = function
        self.context: Context | None = context

    @property
    def name(self) -> str:
        return f"{self.function.__name__}Backward"

    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        if self.context is None:
            raise AutogradError(f"backward through {self.function.__name__} a second time; pass retain_graph=True")
        gradients = self.function.backward(self.context, *cotangents)
        listed = gradients if isinstance(gradients, tuple) else (gradients,)
        if len(listed) != len(self.edges):
            raise AutogradError(
                f"{self.function.__name__}.backward returned {len(listed)} gradients for {len(self.edges)} inputs"
            )
        return listed

    def release(self) -> None:
        self.context = None


class Function:
    """Derive, write static `forward(ctx, *args)` and `backward(ctx, *cotangents)`, call `apply` (as in PyTorch)."""

    @staticmethod
    def forward(ctx: Context, *args: Any) -> Any:
        raise AutogradError("a Function must define a static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Context, *cotangents: Any) -> Any:
        raise AutogradError("a Function must define a static method backward(ctx, *cotangents)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward` unrecorded, and put the application on the tape."""
        context = Context()
        context.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with no_grad():
            results = cls.forward(context, *args)
        listed = results if isinstance(results, tuple) else (results,)
        if STATE.enabled and any(context.needs_input_grad):
            # an input returned as it is must not get this node as its own history
            fresh = tuple(Tensor(r._np) if any(r is a for a in args) else r for r in listed)
            attach(FunctionNode(cls, context, args, len(fresh)), fresh)
            return fresh if isinstance(results, tuple) else fresh[0]
        return results
