"""Leaves that a trace makes, and the tensors that they become when the graph has run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracegraph.dtypes import DType
from tracegraph.ir import Value
from tracegraph.nn.parameter import Parameter
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.kinds import View
from tracegraph.tensor import Tensor


@dataclass(eq=False)
class Leaf:
    """A tensor that has become a leaf that requires grad in the course of the trace.

    Attributes:
        number: identifies it in other attempts to trace the call; None if it cannot be made before the graph.
    """

    handle: Traced
    number: int | None = None


def is_alone(value: Value) -> bool:
    """Whether no other tensor lies in the memory of `value`, which is no view but for being detached."""
    if any(isinstance(user.target, View) for user in value.users):
        return False
    while value.node.is_call and isinstance(value.node.target, View):
        value = value.node.operands[0]
        if len(value.users) > 1:
            return False
    return value.node.is_call


def new_leaf(cls: type[Tensor], dtype: DType, number: int, *shape: int) -> Tensor:
    """A leaf of this shape that requires grad, to be given its memory later; the number tells it from others."""
    leaf = Tensor(np.empty(shape, dtype.np)).requires_grad_()
    return leaf if cls is Tensor else cls(leaf)  # type: ignore[arg-type]


def as_parameter(tensor: Tensor, requires_grad: bool, gradient: Tensor | None, version: int) -> Parameter:
    """A Parameter in the memory of `tensor` that has been written to `version` times."""
    parameter = Parameter(tensor, requires_grad)
    parameter.grad, parameter.storage.version = gradient, version
    return parameter


def as_leaf(tensor: Tensor, gradient: Tensor | None) -> Tensor:
    """`tensor` as a leaf that requires grad and has accumulated `gradient`."""
    tensor.requires_grad, tensor.grad = True, gradient
    return tensor


def retain(tensor: Tensor, gradient: Tensor | None) -> None:
    """Let `tensor` keep its gradient; it has accumulated `gradient`."""
    tensor.retain_grad()
    tensor.grad = gradient
