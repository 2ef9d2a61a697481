"""In-place operations on the tape.

An in-place method computes its result out of place and writes it with `copy_`, the one mutating op; so the history of
the written tensor becomes that of a functional copy. A write through a view rewrites the history of the base: the
viewed region of the old base replaced by the new elements, spelled with the views' `scatter` rules. All views of that
base, the written one too, then derive their history from it again when they are next asked for (as PyTorch's
CopySlices and AsStridedBackward do). A detached tensor lies in the same memory and has a history of its own.
"""

from __future__ import annotations

from typing import Any

from tracegraph.autograd.grad_mode import STATE
from tracegraph.autograd.tape import OpNode, attach, handle
from tracegraph.errors import AutogradError
from tracegraph.ops.core.definition import Definition
from tracegraph.tensor import eager
from tracegraph.tensor.tensor import Tensor


def change(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """Execute an op that changes its operands; the tensor, if it is one that comes to lie in the memory of another.

    Raises:
        AutogradError: see `write`.
    """
    if not op.rebinds:
        return write(op, operands, attrs)
    memory, tensor = operands
    tensor.data = memory
    return tensor


def write(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> None:
    """Execute a mutating op and record what it means for gradients.

    Raises:
        AutogradError: the history of the target cannot be rewritten, see `check_target`.
    """
    (position,) = op.mutates
    target = operands[position]
    if not STATE.enabled or not any(map(takes_part, operands)):
        eager.run(op, operands, attrs)
        return
    check_target(target)
    source = operands[1 - position]
    if isinstance(source._grad_fn, OpNode):
        # x.mul_(w) computed x * w, whose gradient reads the elements of x that are about to go
        source._grad_fn.keep_elements_of(target)
    if target._view is None:
        node = OpNode(op, operands, attrs, (target,))
        eager.run(op, operands, attrs)
        attach(node, (target,))
        target._hooks = None  # those there are belong to the former history
        return
    rewritten = _scattered(target._view.base, source.to(target.dtype).expand(target.shape), target._view.chain)
    eager.run(op, operands, attrs)
    _adopt(target._view.base, rewritten)


def rewrite_history(target: Tensor, elements: Tensor) -> None:
    """Let `target`, to which `elements` are written, have their history; its base and views follow."""
    if target._view is None:
        _adopt(target, elements)
    else:
        _adopt(target._view.base, _scattered(target._view.base, elements, target._view.chain))


def check_target(target: Tensor) -> None:
    """Check that a write to `target` can be recorded.

    Raises:
        AutogradError: it is a leaf that requires grad, a view of one, or a view made outside grad mode.
    """
    base = target._base
    for tensor, what in (
        (target, "a leaf tensor that requires grad"),
        (base, "a view of a leaf that requires grad"),
    ):
        if tensor is not None and tensor._requires_grad and tensor._grad_fn is None:
            raise AutogradError(
                f"an in-place operation on {what} (shape {list(target.shape)}) cannot be recorded; do it under "
                "tracegraph.no_grad(), or out of place"
            )
    if target._view is not None and not target._view.is_recorded:
        raise AutogradError(
            f"an in-place operation in grad mode on a view (shape {list(target.shape)}) that was made outside it: "
            f"whether gradients flow through it is not clear; {_TO_DO}"
        )


def takes_part(operand: Any) -> bool:
    """Whether a write to or from `operand` concerns gradients."""
    if not isinstance(operand, Tensor):
        return False
    view = operand._view
    return operand.requires_grad or (view is not None and not view.is_recorded and view.base._requires_grad)


_TO_DO = "make the view and write to it in the same mode, or detach() the view, which gives it a history of its own"


def _adopt(target: Tensor, rewritten: Tensor) -> None:
    target._requires_grad = rewritten.requires_grad
    target._grad_fn, target._grad_index = rewritten.grad_fn, rewritten._grad_index
    target._hooks = None  # those there are belong to the former history


def _scattered(base: Tensor, source: Tensor, chain: tuple[tuple[Definition, dict[str, Any]], ...]) -> Tensor:
    """`base` with the region seen through `chain` replaced by `source`, out of place."""
    op, attrs = chain[0]
    if len(chain) == 1:
        return op.scatter(base, source, **attrs)  # type: ignore[attr-defined]
    return op.scatter(base, _scattered(_apply(op, base, attrs), source, chain[1:]), **attrs)  # type: ignore[attr-defined]


def _apply(op: Definition, tensor: Tensor, attrs: dict[str, Any]) -> Tensor:
    """A view op with canonical attributes, recorded."""
    return handle(op, (tensor,), attrs)


def refresh_history(view: Tensor) -> None:
    """Give a view the history that follows from its base's present one.

    Raises:
        AutogradError: the view was made outside grad mode, and its base has got a history in grad mode since.
    """
    origin = view._view
    assert origin is not None
    base = origin.base
    if base._requires_grad and not origin.is_recorded:
        raise AutogradError(
            f"a view (shape {list(view.shape)}) made outside grad mode is used after an in-place operation in grad "
            f"mode on its base or another view of it: whether gradients flow through it is not clear; {_TO_DO}"
        )
    origin.node = base._grad_fn
    tensor = Tensor(base._np, base._requires_grad)
    tensor._grad_fn, tensor._grad_index = base._grad_fn, base._grad_index
    if base._requires_grad:
        previous = STATE.enabled
        STATE.enabled = True
        try:
            for op, attrs in origin.chain:
                tensor = _apply(op, tensor, attrs)
        finally:
            STATE.enabled = previous
    view._requires_grad = tensor._requires_grad
    view._grad_fn, view._grad_index = tensor._grad_fn, tensor._grad_index
    view._hooks = None  # those there are belong to the former history
