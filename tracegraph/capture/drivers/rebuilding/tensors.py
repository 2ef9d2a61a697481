"""Tensors, and the sizes, numbers and arrays that go with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.drivers.rebuilding.not_reconstructible import NotReconstructible
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.numpy_numbers import NumpyNumber
from tracegraph.capture.stack.texts import VaryingText
from tracegraph.capture.tensors.addresses import Address
from tracegraph.capture.tensors.gradients import as_spent, spent_op
from tracegraph.capture.trace.leaves import Leaf, as_leaf, as_parameter, retain
from tracegraph.capture.trace.tensor_states import GradFn
from tracegraph.ir import SymExpr
from tracegraph.ir import dim as dims
from tracegraph.ops.core.sym_float import SymFloat
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.drivers.rebuilding.reconstructor import Reconstructor


def history_from(leaf: Leaf) -> NotReconstructible:
    """What to raise for a history that leaves the trace and begins in its midst."""
    return NotReconstructible(leaf, Break(reasons.TENSOR_ATTRIBUTE, "a tensor made a leaf, which results depend on"))


def _tensor(reconstructor: Reconstructor, handle: Traced) -> str:
    """A computed tensor, which may keep its gradient."""
    tensors = reconstructor.tracer.tensors
    if not tensors.retains_grad(handle):
        return _computed(reconstructor, handle)
    result, gradient = _computed(reconstructor, handle), reconstructor.expression(tensors.grad(handle))
    reconstructor.lines.append(f"{reconstructor.pool.name(retain)}({result}, {gradient})")
    return result


def _computed(reconstructor: Reconstructor, handle: Traced) -> str:
    """The graph output that holds a computed tensor."""
    tracer = reconstructor.tracer
    if handle.recorder is not tracer.recorder:
        raise NotReconstructible(handle)
    if tracer.recorder.is_stale(handle.value):
        detail = "a view made outside grad mode of what got a history since, as a result"
        raise Break(reasons.TENSOR_ATTRIBUTE, detail, Extent.FRAME)
    spent = spent_op(tracer, handle)
    if spent is not None:
        without_history = _tensor(reconstructor, handle.detach())
        return reconstructor.assign(handle, f"{reconstructor.pool.name(as_spent)}({without_history}, *{spent!r})")
    leaf = tracer.tensors.check_history(handle.value) if handle.requires_grad else None
    if leaf is not None and leaf.handle is not handle:
        raise history_from(leaf)
    if tracer.tensors.is_made_parameter(handle):
        return _parameter(reconstructor, handle)
    if leaf is not None:
        return _leaf(reconstructor, handle)
    return reconstructor.output(handle, tracer.recorder.as_result(handle.value))


def _leaf(reconstructor: Reconstructor, handle: Traced) -> str:
    """A tensor that the trace made a leaf; of what is computed from one there is no history that begins there."""
    elements = _tensor(reconstructor, handle.detach())
    gradient = reconstructor.expression(reconstructor.tracer.tensors.grad(handle))
    return reconstructor.assign(handle, f"{reconstructor.pool.name(as_leaf)}({elements}, {gradient})")


def _parameter(reconstructor: Reconstructor, handle: Traced) -> str:
    """A Parameter that the trace made."""
    states = reconstructor.tracer.tensors
    elements = _tensor(reconstructor, handle.detach())
    parts = handle.requires_grad, states.grad(handle), states.version(handle)
    make = reconstructor.pool.name(as_parameter)
    return reconstructor.assign(handle, f"{make}({elements}, {reconstructor.expressions(parts)})")


def _grad_fn(reconstructor: Reconstructor, grad_fn: GradFn) -> str:
    """It belongs to the tape, which does not know it."""
    raise NotReconstructible(grad_fn, Break(reasons.TENSOR_ATTRIBUTE, "Tensor.grad_fn, other than asking for None"))


def _address(reconstructor: Reconstructor, address: Address) -> str:
    return f"{reconstructor.expression(address.object)}.data_ptr()"


def _size(reconstructor: Reconstructor, size: SymExpr) -> str:
    """Arithmetic on the sizes of the arguments."""
    text = str(size)
    for symbol in sorted(dims.symbols(size), key=len, reverse=True):
        name = reconstructor.writer.name(reconstructor.tracer.sizes.sources[symbol])
        text = re.sub(rf"\b{symbol}\b", name, text)
    for function in dims.FUNCTIONS:
        if f"{function}(" in text:
            text = text.replace(f"{function}(", f"{reconstructor.pool.name(dims.FUNCTIONS[function], function)}(")
    return f"({text})"


def _number(reconstructor: Reconstructor, number: SymFloat | NumpyNumber | VaryingText) -> str:
    """A number or text that the arguments hold, or arithmetic on such."""
    return reconstructor.writer.name(number.source)


def _array(reconstructor: Reconstructor, value: np.ndarray) -> str:
    """An array that the trace computed: a copy for every call."""
    if value.base is not None and reconstructor.tracer.is_fresh(value.base):
        raise NotReconstructible(value)
    return reconstructor.assign(value, f"{reconstructor.pool.name(value.copy(order='K'))}.copy(order='K')")


BUILDERS: dict[type, Callable[[Reconstructor, Any], str]] = {
    Traced: _tensor,
    GradFn: _grad_fn,
    Address: _address,
    SymExpr: _size,
    SymFloat: _number,
    NumpyNumber: _number,
    VaryingText: _number,
    np.ndarray: _array,
}
