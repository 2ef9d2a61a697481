"""In-place operations on the tape.

An in-place method computes its result out of place and writes it with `copy_`, the one mutating op; so the history of
the written tensor becomes that of a functional copy. A write through a view rewrites the history of the base: the
viewed region of the old base replaced by the new elements, spelled with the views' `scatter` rules. Other views of
that base then derive their history from it again, when it is next asked for.
"""

from __future__ import annotations

from typing import Any

from tracegraph.autograd.grad_mode import STATE
from tracegraph.autograd.tape import OpNode, attach, handle
from tracegraph.errors import AutogradError
from tracegraph.ops.definition import Definition
from tracegraph.tensor import eager
from tracegraph.tensor.tensor import Tensor


def write(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> None:
    """Execute a mutating op and record what it means for gradients.

    Raises:
        AutogradError: the target is a leaf that requires grad, or a view of one.
    """
    (position,) = op.mutates
    target = operands[position]
    if not STATE.enabled or not any(isinstance(o, Tensor) and o.requires_grad for o in operands):
        eager.run(op, operands, attrs)
        return
    _check_target(op, target)
    source = operands[1 - position]
    if isinstance(source._grad_fn, OpNode):
        # x.mul_(w) computed x * w, whose gradient reads the elements of x that are about to go
        source._grad_fn.keep_elements_of(target)
    if target._view is None:
        node = OpNode(op, operands, attrs, (target,))
        eager.run(op, operands, attrs)
        attach(node, (target,))
        target.storage.history += 1
        return
    base, chain = target._view.base, target._view.chain
    new_base = _scattered(base, source.to(target.dtype).expand(target.shape), chain)
    eager.run(op, operands, attrs)
    base.requires_grad = True
    base._grad_fn, base._grad_index = new_base._grad_fn, new_base._grad_index
    base.storage.history += 1
    target.requires_grad = True


def _check_target(op: Definition, target: Tensor) -> None:
    base = target._base
    for tensor, what in (
        (target, "a leaf tensor that requires grad"),
        (base, "a view of a leaf that requires grad"),
    ):
        if tensor is not None and tensor.requires_grad and tensor.grad_fn is None:
            raise AutogradError(
                f"an in-place operation on {what} (shape {list(target.shape)}) cannot be recorded; do it under "
                "tracegraph.no_grad(), or out of place"
            )


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
    """Give a view the history that follows from its base's present one."""
    origin = view._view
    assert origin is not None
    origin.history = origin.base.storage.history
    if not origin.base.requires_grad:
        return
    tensor = Tensor(origin.base._np, origin.base.requires_grad)
    tensor._grad_fn, tensor._grad_index = origin.base._grad_fn, origin.base._grad_index
    previous = STATE.enabled
    STATE.enabled = True
    try:
        for op, attrs in origin.chain:
            tensor = _apply(op, tensor, attrs)
    finally:
        STATE.enabled = previous
    view.requires_grad = tensor.requires_grad
    view._grad_fn, view._grad_index = tensor._grad_fn, tensor._grad_index
