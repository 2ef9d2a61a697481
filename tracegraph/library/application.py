"""One application of a custom op: what its formula keeps for backward, and its place on the tape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tracegraph.autograd.function import Context
from tracegraph.autograd.tape import Node, OperandInfo, edge_to
from tracegraph.errors import AutogradError
from tracegraph.ops.graphs.recording import Traced
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.library.custom_op import CustomOp


class OpContext(Context):
    """The `ctx` of a custom op: like that of `autograd.Function`, and for tensors of graphs as well."""

    def save_for_backward(self, *tensors: Any) -> None:
        self._saved = tensors
        self._versions = tuple(getattr(t, "_version", 0) for t in tensors)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        if any(isinstance(t, Traced) or t is None for t in self._saved):
            return self._saved
        return super().saved_tensors

    def held(self) -> list[Any]:
        """Everything that backward may read."""
        return [*self._saved, *vars(self).values()]


class ApplicationNode(Node):
    """One application of an op on the tape."""

    __slots__ = ("attrs", "context", "needs", "op", "operands", "outputs")

    def __init__(
        self,
        op: CustomOp,
        context: OpContext,
        operands: Sequence[Any],
        attrs: dict[str, Any],
        results: Sequence[Tensor],
    ) -> None:
        super().__init__(tuple(map(edge_to, operands)), len(results))
        self.op = op
        self.context: OpContext | None = context
        self.operands = [_info(o) for o in operands]
        self.outputs = [_info(r) for r in results]
        self.attrs = attrs
        self.needs = [e is not None for e in self.edges]

    @property
    def name(self) -> str:
        return f"{self.op.name}Backward"

    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        if self.context is None:
            raise AutogradError(f"backward through {self.op.name} a second time; pass retain_graph=True")
        return self.op.gradients(self.context, cotangents, self.outputs, self.operands, self.attrs, self.needs)

    def release(self) -> None:
        self.context = None


def _info(operand: Any) -> Any:
    return OperandInfo(operand.shape, operand.dtype) if isinstance(operand, Tensor) else operand
