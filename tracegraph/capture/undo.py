"""Backends that run graphs op by op: what a failed call has written is taken back, so that the call may start over.

Compiled graphs write at their end and need none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegraph.capture.trace.memories import root_of
from tracegraph.ir import Graph, Node
from tracegraph.ops.random.generator import get_rng_state, set_rng_state
from tracegraph.tensor import Tensor

RunGraph = Callable[[list[Any]], Sequence[Any]]


def atomic(graph: Graph, run: RunGraph) -> RunGraph:
    """`run`, the backend's callable for `graph`, such that a call that raises has no effects."""
    if all(n.is_pure for n in graph.calls) or getattr(run, "is_atomic", False):
        return run
    changes = ((n, i) for n in graph.calls for i in (*getattr(n.call_op, "mutates", ()), *_rebound(n)))
    roots = {root_of(n.operands[i]) for n, i in changes}
    written = [i for i, placeholder in enumerate(graph.placeholders) if placeholder in roots]

    def run_or_undo(inputs: list[Any]) -> Sequence[Any]:
        draws = get_rng_state()
        undo = [_snapshot(inputs[i]) for i in written]
        try:
            return run(inputs)
        except BaseException:
            set_rng_state(draws)
            for restore in undo:
                restore()
            raise

    return run_or_undo


def _rebound(node: Node) -> tuple[int, ...]:
    """Positions of the operands that a call gives other memory."""
    return getattr(node.call_op, "rebinds", ())


def _snapshot(tensor: Tensor) -> Callable[[], None]:
    """What puts back elements, history and version of a tensor and of the base it is a view of."""
    elements = tensor._np.copy()
    storage, view = tensor.storage, tensor._view
    version, node = storage.version, None if view is None else view.node
    involved = [tensor] if view is None else [tensor, view.base]
    slots = [(t, n, getattr(t, n)) for t in involved for n in Tensor.__slots__ if n != "__weakref__" and hasattr(t, n)]

    def restore() -> None:
        for owner, name, content in slots:
            setattr(owner, name, content)
        if tensor._np.flags.writeable:
            np.copyto(tensor._np, elements)
        storage.version = version
        if view is not None:
            view.node = node

    return restore
