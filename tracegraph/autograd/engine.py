"""The backward pass: undo the tape from the newest node to the oldest."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegraph.autograd.anomaly import DETECTION, check_gradients, note_forward
from tracegraph.autograd.batched import gradients_of_samples
from tracegraph.autograd.grad_mode import STATE
from tracegraph.autograd.inplace import refresh_history
from tracegraph.autograd.tape import Node
from tracegraph.errors import AutogradError, ShapeError, VmapError
from tracegraph.ops.core.autocast import not_casting
from tracegraph.ops.graphs.batched import LEVELS, innermost
from tracegraph.tensor.hooks import PostAccumulate, hooked
from tracegraph.tensor.tensor import Tensor

Cotangents = dict[Node, list["Tensor | None"]]


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Accumulate the gradients of `tensors` into the `.grad` of their leaves (`torch.autograd.backward`).

    Args:
        grad_variables: an older name of `grad_tensors`.
        inputs: the tensors, leaves or not, whose `.grad` is added to; those of others stay as they are.

    Raises:
        AutogradError: `inputs` is empty; or as `Tensor.backward`.
    """
    roots = _sequence(tensors)
    if LEVELS.stack and innermost(roots) is not None:
        raise VmapError("vmap: backward() in the mapped function; use func.grad or func.vjp there")
    gradients = _gradients(roots, grad_variables if grad_tensors is None else grad_tensors)
    if inputs is None:
        _run(roots, gradients, _Accumulate(), retain_graph, create_graph)
        return
    chosen = tuple(dict.fromkeys(_sequence(inputs)))
    if not chosen:
        raise AutogradError("`inputs` argument to `backward()` cannot be empty.")
    found = _Collect(chosen)
    _run(roots, gradients, found, retain_graph, create_graph)
    for tensor, gradient in zip(chosen, found.results(), strict=True):
        if gradient is not None:
            _Accumulate().leaf(tensor, gradient, create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of `outputs` with respect to `inputs`, without touching any `.grad` (`torch.autograd.grad`).

    `only_inputs` is accepted for the sake of older programs; as in PyTorch it says nothing.

    Raises:
        AutogradError: an input does not require grad, or is not used by the outputs and `allow_unused` is False.
    """
    roots, wanted = _sequence(outputs), _sequence(inputs)
    for i, t in enumerate(wanted):
        if not t.requires_grad:
            raise AutogradError(f"grad(): input {i} (shape {list(t.shape)}) does not require grad")

    def gradients(roots: Sequence[Tensor], wanted: Sequence[Tensor], given: Any) -> tuple[Tensor | None, ...]:
        collected = _Collect(wanted)
        _run(roots, _gradients(roots, given), collected, retain_graph, create_graph)
        return collected.results()

    results: Sequence[Tensor | None]
    if LEVELS.stack:
        results = gradients_of_samples(roots, wanted, _listed(roots, grad_outputs), gradients)
    else:
        results = gradients(roots, wanted, grad_outputs)
    for i, r in enumerate(results):
        if r is None and not allow_unused:
            raise AutogradError(
                f"grad(): input {i} was not used to compute the outputs; pass allow_unused=True for None"
            )
    return tuple(results)


class _Accumulate:
    """Sink of `backward`: every leaf's gradient goes to its `.grad`."""

    def leaf(self, leaf: Tensor, gradient: Tensor, create_graph: bool) -> None:
        if leaf.grad is None:
            leaf.grad = gradient if create_graph else _own(gradient)
        elif create_graph:
            leaf.grad = leaf.grad + gradient
        else:
            np.add(leaf.grad._np, gradient._np, out=leaf.grad._np)
            leaf.grad.storage.version += 1
        if leaf._hooks:
            for hook in list(leaf._hooks.values()):
                if isinstance(hook, PostAccumulate):
                    hook.hook(leaf)

    def asked(self, node: Node) -> dict[int, Tensor | None]:
        """Of inner nodes nothing is asked."""
        return {}


class _Collect:
    """Sink of `grad`: gradients of chosen tensors, leaves or not."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        self.inputs = inputs
        self.leaves: dict[int, Tensor] = {}
        self.inner: dict[Node, dict[int, Tensor | None]] = {}
        for t in inputs:
            if t.grad_fn is not None:
                self.inner.setdefault(t.grad_fn, {})[t._grad_index] = None
        self.wanted_leaves = {id(t) for t in inputs if t.grad_fn is None}

    def leaf(self, leaf: Tensor, gradient: Tensor, create_graph: bool) -> None:
        if id(leaf) in self.wanted_leaves:
            self.leaves[id(leaf)] = gradient

    def asked(self, node: Node) -> dict[int, Tensor | None]:
        """By index, the results of `node` whose gradients are wanted, with what has been found."""
        return self.inner.get(node, {})

    def results(self) -> tuple[Tensor | None, ...]:
        return tuple(
            self.leaves.get(id(t)) if t.grad_fn is None else self.inner[t.grad_fn][t._grad_index] for t in self.inputs
        )


def _run(
    roots: Sequence[Tensor],
    gradients: Sequence[Tensor],
    sink: _Accumulate | _Collect,
    retain_graph: bool | None,
    create_graph: bool,
) -> None:
    retain = create_graph if retain_graph is None else retain_graph
    previous = STATE.enabled
    STATE.enabled = create_graph
    try:
        with not_casting():
            _traverse(roots, gradients, sink, retain, create_graph)
    finally:
        STATE.enabled = previous


def _traverse(
    roots: Sequence[Tensor],
    gradients: Sequence[Tensor],
    sink: _Accumulate | _Collect,
    retain: bool,
    create_graph: bool,
) -> None:
    pending: Cotangents = {}
    queue: list[tuple[float, Node]] = []  # newest first
    #: leaves with the sums of what has reached them; their hooks see the whole gradient, once
    leaves: dict[int, tuple[Tensor, Tensor]] = {}

    def send(node: Node | None, index: int, leaf: Tensor | None, gradient: Tensor) -> None:
        if node is None:
            assert leaf is not None
            reached = leaves.get(id(leaf))
            leaves[id(leaf)] = (leaf, gradient if reached is None else reached[1] + gradient)
            return
        cotangents = pending.get(node)
        if cotangents is None:
            cotangents = pending[node] = [None] * node.results
            heapq.heappush(queue, (-node.number, node))
        known = cotangents[index]
        cotangents[index] = gradient if known is None else known + gradient

    for root, seed in zip(roots, gradients, strict=True):
        send(root.grad_fn, root._grad_index, root, seed)
    while queue:
        _, node = heapq.heappop(queue)
        cotangents = pending.pop(node)
        known = node.identity
        asked, hooks = sink.asked(known), known.hooks
        if asked or hooks or node.is_divided:
            found = _shown(node, cotangents, asked, hooks or {}, send)
        else:
            found = _computed(node, cotangents, node.backward)
        edges, order = node.edges, node.order
        for i in range(len(edges)) if order is None else order:
            edge, gradient = edges[i], found[i]
            if edge is not None and gradient is not None:
                send(*edge, gradient)
        if not retain:
            node.release()
    for leaf, gradient in leaves.values():
        sink.leaf(leaf, hooked(leaf._hooks, gradient) if leaf._hooks else gradient, create_graph)


def _shown(
    node: Node,
    cotangents: list[Tensor | None],
    asked: dict[int, Tensor | None],
    hooks: dict[int, dict[int, Any]],
    send: Callable[[Node | None, int, Tensor | None, Tensor], None],
) -> Sequence[Tensor | None]:
    """What a node computes after hooks have seen the gradients of its results, which are noted where asked for.

    Where results were computed from each other, the cotangents are sent to the node that can tell what is whole.
    """

    def inspect(index: int, gradient: Tensor) -> Tensor:
        if index in hooks:
            gradient = hooked(hooks[index], gradient)
        if index in asked:
            asked[index] = gradient
        return gradient

    results = frozenset({*asked, *(i for i, registered in hooks.items() if registered)})
    if not node.connects(cotangents, results):
        return _computed(node, cotangents, lambda given: node.inspected_backward(given, results, inspect))
    stand_in = node.stand_in(cotangents)
    for index, cotangent in enumerate(cotangents):
        if cotangent is not None:
            send(stand_in, index, None, cotangent)
    return [None] * len(node.edges)


def _computed(
    node: Node,
    cotangents: list[Tensor | None],
    compute: Callable[[tuple[Tensor | None, ...]], Sequence[Tensor | None]],
) -> Sequence[Tensor | None]:
    """What `compute`, a method of the node, gives; watched where anomalies are looked for."""
    if not DETECTION.enabled:
        return compute(tuple(cotangents))
    try:
        gradients = compute(tuple(cotangents))
    except Exception as error:
        note_forward(error, node)
        raise
    check_gradients(node, gradients)
    return gradients


def _own(gradient: Tensor) -> Tensor:
    """A gradient that no other tensor aliases, so that later accumulation in place is safe."""
    return Tensor(np.array(gradient._np, order="C"))


def _sequence(tensors: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)


def _gradients(roots: Sequence[Tensor], given: Any) -> list[Tensor]:
    return [_root_gradient(r, g) for r, g in zip(roots, _listed(roots, given), strict=True)]


def _listed(roots: Sequence[Tensor], given: Any) -> list[Tensor | None]:
    """The gradients given, one for each root."""
    listed: list[Tensor | None] = [given] if isinstance(given, Tensor) else list(given or [None] * len(roots))
    if len(listed) != len(roots):
        raise AutogradError(f"{len(listed)} gradients given for {len(roots)} tensors")
    return listed


def _root_gradient(root: Tensor, gradient: Tensor | None) -> Tensor:
    if not root.requires_grad:
        raise AutogradError(
            f"backward() from a tensor of shape {list(root.shape)} that neither requires grad nor has a grad_fn: "
            "nothing it was computed from requires grad, or it was computed under no_grad()"
        )
    if gradient is None:
        if root._np.size != 1:
            raise AutogradError(
                f"backward() needs a gradient argument for a tensor of shape {list(root.shape)}: only for a single "
                "element is it implied; reduce the tensor first, for example with .sum()"
            )
        return Tensor(np.ones(root.shape, root.dtype.np))
    if gradient.shape != root.shape:
        raise ShapeError(f"the gradient has shape {list(gradient.shape)}, the tensor {list(root.shape)}")
    return gradient if gradient.dtype is root.dtype else gradient.to(root.dtype)


class _TapeEngine:
    """What tensors call; see `tensor.Engine`."""

    def backward(
        self, tensor: Tensor, gradient: Tensor | None, retain_graph: bool, create_graph: bool, inputs: Any
    ) -> None:
        backward(tensor, gradient, retain_graph, create_graph, inputs=inputs)

    def refresh_history(self, view: Tensor) -> None:
        refresh_history(view)


Tensor.engine = _TapeEngine()
