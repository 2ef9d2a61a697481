"""Checkpointing: parts of a computation whose values are computed again in backward rather than kept.

Reached as `tracegraph.utils.checkpoint` too, PyTorch's name. (Chen et al., Training Deep Nets with Sublinear Memory
Cost, 2016.)
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from tracegraph.autograd.grad_mode import STATE, enable_grad
from tracegraph.autograd.tape import Edge, Node, attach, mark
from tracegraph.errors import ArgumentError, AutogradError
from tracegraph.ops.core.autocast import casting, casting_state
from tracegraph.ops.random.generator import get_rng_state, set_rng_state
from tracegraph.tensor.hooks import hooked
from tracegraph.tensor.storage import Storage
from tracegraph.tensor.tensor import Tensor

#: tells edges apart: a result of a node, or a leaf
Key: TypeAlias = "tuple[int, int]"


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, of which only inputs and results are kept: backward calls the function again
    (`torch.utils.checkpoint.checkpoint`).

    Gradients reach the arguments and whatever else the function uses; they may be differentiated again. The function
    must compute the same when called again.

    Args:
        use_reentrant: accepted for compatibility; there is one implementation, which differs from neither in results.
        preserve_rng_state: let the second call draw the random numbers that the first one drew.

    Raises:
        AutogradError: in backward, if something the function reads was written to since, or if the second call
            records other results than the first.
    """
    if not callable(function):
        raise ArgumentError(f"checkpoint() takes a function and its arguments, got {type(function).__name__}")
    if not STATE.enabled:
        return function(*args, **kwargs)
    rerun = _Rerun(function, args, kwargs, get_rng_state() if preserve_rng_state else None)
    start = mark()
    results = function(*args, **kwargs)
    listed = results if isinstance(results, tuple | list) else (results,)
    recorded = _recorded(listed, start)
    if not recorded:
        return results
    node = CheckpointNode(rerun, recorded, _edges_out(recorded, start))
    fresh = {id(r): Tensor(r._np) for r in recorded}
    for index, tensor in enumerate(fresh.values()):
        attach(node, (tensor,))
        tensor._grad_index = index
    replaced: list[Any] = [fresh.get(id(r), r) for r in listed]
    if isinstance(results, tuple):
        return type(results)(*replaced) if hasattr(results, "_fields") else tuple(replaced)
    return replaced if isinstance(results, list) else replaced[0]


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True
) -> Any:
    """Run a chain of functions (or a Sequential) on `input` in so many checkpointed segments, of which the last one is
    run as it is (`torch.utils.checkpoint.checkpoint_sequential`).
    """
    chain = list(functions)
    if not 1 <= segments <= len(chain):
        raise ArgumentError(f"checkpoint_sequential(): segments={segments} for {len(chain)} functions")
    size = len(chain) // segments

    def run(part: Sequence[Callable[..., Any]], value: Any) -> Any:
        for function in part:
            value = function(value)
        return value

    for start in range(0, size * (segments - 1), size):
        input = checkpoint(run, chain[start : start + size], input, preserve_rng_state=preserve_rng_state)
    return run(chain[size * (segments - 1) :], input)


class _Rerun:
    """A call that can be made again."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any, rng_state: Any) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.rng_state = rng_state
        self.casting = casting_state()
        given = [t for t in (*args, *kwargs.values()) if isinstance(t, Tensor)]
        self.versions = _versions(given)

    def __call__(self) -> Any:
        _check_unchanged(self.versions, "an argument of a checkpointed function")
        with enable_grad(), casting(self.casting), self._same_draws():
            return self.function(*self.args, **self.kwargs)

    @contextmanager
    def _same_draws(self) -> Iterator[None]:
        if self.rng_state is None:
            yield
            return
        state = get_rng_state()
        set_rng_state(self.rng_state)
        try:
            yield
        finally:
            set_rng_state(state)


#: memory, its version, and the shape of the tensor in it
_Versions = list[tuple[Storage, int, tuple[int, ...]]]


def _versions(tensors: Sequence[Tensor]) -> _Versions:
    return [(t.storage, t._version, t.shape) for t in tensors]


def _check_unchanged(versions: _Versions, what: str) -> None:
    for storage, version, shape in versions:
        if storage.version != version:
            raise AutogradError(
                f"{what}, of shape {list(shape)}, was modified by an in-place operation before backward (version "
                f"{version}, now {storage.version}); write out of place or clone() it first"
            )


class CheckpointNode(Node):
    """The tape node of a checkpointed call; its edges are those by which the call's own nodes reached out of it."""

    __slots__ = ("_rerun", "_types", "_versions")

    def __init__(self, rerun: _Rerun, results: Sequence[Tensor], edges: dict[Key, Edge]) -> None:
        super().__init__(tuple(edges.values()), len(results))
        self._rerun: _Rerun | None = rerun
        self._types = [(r.shape, r.dtype) for r in results]
        leaves = [leaf for _, _, leaf in edges.values() if leaf is not None]
        self._versions = _versions(leaves)

    @property
    def name(self) -> str:
        return "CheckpointBackward"

    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        if self._rerun is None:
            raise AutogradError(
                "backward through a checkpoint a second time; pass retain_graph=True to the first backward()"
            )
        _check_unchanged(self._versions, "a tensor that a checkpointed function reads")
        start = mark()
        results = self._rerun()
        recorded = _recorded(results if isinstance(results, tuple | list) else (results,), start)
        if [(r.shape, r.dtype) for r in recorded] != self._types:
            raise AutogradError(
                f"a checkpointed function gave results of {[list(s) for s, _ in self._types]} and, called again in "
                f"backward, of {[list(r.shape) for r in recorded]}: it must compute the same each time"
            )
        gradients = _gradients(recorded, cotangents, start)
        return [gradients.get(_key(edge)) if edge is not None else None for edge in self.edges]

    def release(self) -> None:
        self._rerun = None


def _recorded(results: Sequence[Any], start: float) -> list[Tensor]:
    """The results with nodes recorded after `start`, each once."""
    tensors = {id(r): r for r in results if isinstance(r, Tensor)}
    return [t for t in tensors.values() if t.grad_fn is not None and t.grad_fn.number > start]


def _key(edge: Edge) -> Key:
    node, index, leaf = edge
    return (id(node), index) if node is not None else (id(leaf), -1)


def _edges_out(roots: Sequence[Tensor], start: float) -> dict[Key, Edge]:
    """The edges that lead from nodes recorded after `start` to leaves and to earlier nodes."""
    found: dict[Key, Edge] = {}
    todo = [r.grad_fn for r in roots]
    seen = set(todo)
    while todo:
        for edge in todo.pop().edges:
            if edge is None:
                continue
            node = edge[0]
            if node is None or node.number < start:
                found.setdefault(_key(edge), edge)
            elif node not in seen:
                seen.add(node)
                todo.append(node)
    return found


def _gradients(roots: Sequence[Tensor], cotangents: Sequence[Tensor | None], start: float) -> dict[Key, Tensor]:
    """What flows out of the nodes recorded after `start`, by edge; as the engine traverses them."""
    flown: dict[Key, Tensor] = {}
    pending: dict[Node, list[Tensor | None]] = {}
    queue: list[tuple[float, Node]] = []

    def send(edge: Edge, gradient: Tensor) -> None:
        node, index, _ = edge
        if node is None or node.number < start:
            known = flown.get(_key(edge))
            flown[_key(edge)] = gradient if known is None else known + gradient
            return
        if node not in pending:
            pending[node] = [None] * node.results
            heapq.heappush(queue, (-node.number, node))
        known = pending[node][index]
        pending[node][index] = gradient if known is None else known + gradient

    for root, cotangent in zip(roots, cotangents, strict=True):
        if cotangent is not None:
            send((root.grad_fn, root._grad_index, None), cotangent)
    while queue:
        _, node = heapq.heappop(queue)
        given = pending.pop(node)
        for index, hooks in (node.hooks or {}).items():
            gradient = given[index]
            if gradient is not None:
                given[index] = hooked(hooks, gradient)
        for edge, gradient in zip(node.edges, node.backward(tuple(given)), strict=True):
            if edge is not None and gradient is not None:
                send(edge, gradient)
    return flown
