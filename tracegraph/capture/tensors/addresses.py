"""`tensor.data_ptr()` in the trace: a number that nobody knows yet, fit for asking which tensors lie at one place.

    if a.data_ptr() == b.data_ptr(): ...     answered from how views came about; of arguments, as it is now, and guarded

It hashes and serves as a key. Where it outlives the trace it is asked anew; what needs its digits breaks the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.guards.sources import Computed, Reference, constant_source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.object_ids import ObjectId
from tracegraph.capture.stack.values import STAND_INS
from tracegraph.capture.trace.memories import root_of
from tracegraph.ir import Value
from tracegraph.ir.fused import node_symbols
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.ops.kinds import View
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Input, Tracer


class Address(ObjectId):
    """The address of `object`, a tensor of the trace.

    Args:
        place: what is equal for tensors at one address, and for no others.
    """

    def __init__(self, tensor: Traced, place: tuple[object, ...]) -> None:
        super().__init__(tensor)
        self.place = place

    def __eq__(self, other: object) -> Any:
        if isinstance(other, Address):
            return self.place == other.place
        return False if type(other) is int and other == 0 else super().__eq__(other)

    def __hash__(self) -> int:
        return hash(self.place)


STAND_INS[Address] = int


def lie_apart(a: Tensor, b: Tensor, distance: int) -> bool:
    """Whether `a` begins so many bytes behind `b`."""
    return a.data_ptr() - b.data_ptr() == distance


def _call_data_ptr(tracer: Tracer, tensor: Traced) -> Address:
    """`tensor.data_ptr()`.

    Raises:
        Break: the tensor is empty or a view of varying sizes, or stands for something that is no tensor.
    """
    value = tensor.value
    root = root_of(value)
    given = next((i for i in tracer.inputs if i.value is root), None)
    sizes = value.type.shape
    if any(isinstance(n, int) and n == 0 for n in sizes) or (given is not None and given.convert is not None):
        raise Break(reasons.TENSOR_ATTRIBUTE, "Tensor.data_ptr of an empty tensor or an array")
    offset = _offset(value, root, None if given is None else given.tensor)
    if given is None:
        return Address(tensor, (root, offset))
    _note_place(tracer, given, offset)
    return Address(tensor, (given.tensor.data_ptr() + offset,))


def _offset(value: Value, root: Value, given: Tensor | None) -> int:
    """The bytes between the beginnings of `root` and its view `value`."""
    views = []
    while value is not root:
        if len(value.node.operands) == 1:  # others lie where their first operand does
            views.append(value.node)
        value = value.node.operands[0]
    if not views:
        return 0
    if any(node_symbols(n) for n in views) or not root.type.is_static:
        raise Break(reasons.TENSOR_ATTRIBUTE, "Tensor.data_ptr of a view whose sizes vary")
    memory = np.empty(root.type.shape, root.type.dtype.np) if given is None else given.detach().numpy()
    seen = memory
    for node in reversed(views):
        assert isinstance(node.target, View) and node.target.eager is not None
        seen = node.target.eager(seen, **node.attrs)
    return int(seen.ctypes.data - memory.ctypes.data)


def _note_place(tracer: Tracer, given: Input, offset: int) -> None:
    """Guard how a place in an argument lies to those that were asked for before."""
    known = tracer.tensors.places
    if (given, offset) in known:
        return
    for other, at in known:
        if other is not given:
            answer = lie_apart(given.tensor, other.tensor, at - offset)
            place = Computed(Reference(lie_apart), (given.source, other.source, constant_source(at - offset)))
            tracer.read(answer, place)
    known.append((given, offset))


#: handlers of methods of tensors
METHODS: dict[Any, Callable[..., Any]] = {REPLACEMENTS.original(Tensor, "data_ptr"): _call_data_ptr}
