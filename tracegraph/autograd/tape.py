"""The tape: what each recorded operation leaves behind, and the dispatch handler that records.

A tensor made by a recorded op carries `(node, index)`; the node knows the op, the edges to the nodes (or leaves) of
its operands, and what the op's `vjp` reads. Nodes are numbered in the order they were recorded, which is the order
the engine undoes.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from tracegraph.autograd.grad_mode import STATE
from tracegraph.dtypes import DType
from tracegraph.errors import AutogradError
from tracegraph.ops import dispatch
from tracegraph.ops.definition import Definition
from tracegraph.tensor import eager
from tracegraph.tensor.storage import Storage
from tracegraph.tensor.tensor import Tensor

_numbers = itertools.count()


class OperandInfo:
    """Stands in for an operand that the gradient formula does not read: its shape and dtype."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: DType) -> None:
        self.shape = shape
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)


class Edge:
    """Where an operand's cotangent goes: result `index` of `node`, or `leaf.grad`."""

    __slots__ = ("index", "leaf", "node")

    def __init__(self, node: Node | None, index: int, leaf: Tensor | None) -> None:
        self.node = node
        self.index = index
        self.leaf = leaf


def edge_to(operand: Any) -> Edge | None:
    """The edge for an operand; None where no gradient is wanted."""
    if not isinstance(operand, Tensor) or not operand.requires_grad:
        return None
    node = operand.grad_fn
    return Edge(node, operand._grad_index, None) if node is not None else Edge(None, 0, operand)


class Node(ABC):
    """A step of the tape. Subclasses compute cotangents of the operands from those of the results."""

    __slots__ = ("__weakref__", "edges", "hooks", "number", "results")

    def __init__(self, edges: Sequence[Edge | None], results: int) -> None:
        self.number = next(_numbers)
        self.edges = tuple(edges)
        self.results = results
        #: hooks of result tensors, by result index
        self.hooks: dict[int, dict[int, Any]] = {}

    @property
    @abstractmethod
    def name(self) -> str:
        """What `tensor.grad_fn` prints as."""

    @abstractmethod
    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        """Cotangents of the operands, one per edge; None where there is none."""

    @abstractmethod
    def release(self) -> None:
        """Drop saved values; a second backward pass through this node is then an error."""

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """PyTorch's name for the edges."""
        return tuple((e.node, e.index) if e is not None else (None, 0) for e in self.edges)

    def add_hooks(self, tensor: Tensor) -> None:
        """Let the engine call the tensor's hooks when its cotangent is known."""
        assert tensor._hooks is not None
        self.hooks[tensor._grad_index] = tensor._hooks


class _Saved(NamedTuple):
    """A tensor the gradient formula reads, and the version it had then."""

    tensor: Any  # a Tensor, or for a result of the node itself its array: no reference cycle
    storage: Storage
    version: int


class OpNode(Node):
    """One executed op."""

    __slots__ = ("_operands", "_results", "attrs", "op")

    def __init__(
        self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any], results: tuple[Tensor, ...]
    ) -> None:
        super().__init__([edge_to(o) for o in operands], len(results))
        self.op = op
        self.attrs = attrs
        reads = op.vjp_reads(len(operands))
        self._operands: list[Any] | None = [
            _save_operand(o, read) for o, read in zip(operands, reads.operands, strict=True)
        ]
        self._results = [
            _Saved(r._np, r.storage, r.storage.version) if reads.results else OperandInfo(r.shape, r.dtype)
            for r in results
        ]

    @property
    def name(self) -> str:
        return f"{self.op.name.title().replace('_', '')}Backward"

    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        if self._operands is None:
            raise AutogradError(
                f"backward through {self.op.name} a second time, after its saved values were freed; pass "
                "retain_graph=True to the first backward()"
            )
        operands = tuple(o.tensor if isinstance(o, _Saved) else o for o in self._operands)
        results = tuple(self._load_result(r, i) for i, r in enumerate(self._results))
        needs = [e is not None for e in self.edges]
        return self.op.pullback(cotangents, results, operands, self.attrs, needs, self._check_versions)

    def release(self) -> None:
        self._operands = None

    def keep_elements_of(self, tensor: Tensor) -> None:
        """Keep a copy of `tensor` where the node saved the tensor itself, before its elements are overwritten."""
        for position, saved in enumerate(self._operands or ()):
            if isinstance(saved, _Saved) and saved.tensor is tensor and saved.version == saved.storage.version:
                copy = Tensor(tensor._np.copy(), tensor.requires_grad)
                copy._grad_fn, copy._grad_index = tensor.grad_fn, tensor._grad_index
                assert self._operands is not None
                self._operands[position] = _Saved(copy, copy.storage, 0)

    def _load_result(self, saved: Any, index: int) -> Any:
        if not isinstance(saved, _Saved):
            return saved
        result = Tensor(saved.tensor)
        result.requires_grad = result.dtype.is_floating
        result._grad_fn, result._grad_index = self, index
        return result

    def _check_versions(self, read: Collection[str]) -> None:
        """Refuse what the gradient formula is about to read if it was written to since."""
        assert self._operands is not None
        result, *names = self.op.vjp_parameters
        if result in read:
            for saved in self._results:
                self._check_version(saved, "the result")
        for position, saved in enumerate(self._operands):
            # operands beyond the named ones are read through *operands
            if position >= len(names) or names[position] in read:
                self._check_version(saved, "an operand")

    def _check_version(self, saved: Any, what: str) -> None:
        if isinstance(saved, _Saved) and saved.storage.version != saved.version:
            raise AutogradError(
                f"{what} of {self.op.name}, of shape {list(saved.tensor.shape)}, was modified by an in-place "
                f"operation after it was saved for backward (version {saved.version}, now {saved.storage.version}); "
                "write out of place or clone() it first"
            )


def _save_operand(operand: Any, read: bool) -> Any:
    if not isinstance(operand, Tensor):
        return operand
    if not read:
        return OperandInfo(operand.shape, operand.dtype)
    storage = operand.storage
    return _Saved(operand, storage, storage.version)


# ------------------------------------------------------------------------------------------------ recording


def attach(node: Node, results: Sequence[Tensor]) -> None:
    """Make `results` the results of `node` on the tape."""
    for index, result in enumerate(results):
        if result.dtype.is_floating:
            result.requires_grad = True
            result._grad_fn = node
            result._grad_index = index


def handle(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """The dispatch handler of eager tensors: execute, and record if a gradient may be wanted."""
    if op.mutates:
        from tracegraph.autograd.inplace import write

        return write(op, operands, attrs)
    arrays = []
    requires_grad = False
    for o in operands:
        if isinstance(o, Tensor):
            arrays.append(o._np)
            if o.requires_grad:
                requires_grad = True
        else:
            arrays.append(o)
    if requires_grad and STATE.enabled and op.is_differentiable:
        return _recorded(op, operands, attrs)
    if op.is_expanded:
        return op.expand(operands, attrs)
    results = eager.wrapped(op, operands, attrs, op.run(*arrays, **attrs))
    return results[0] if len(results) == 1 else op.pack(results) if results else None


def _recorded(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """Execute a differentiable op and leave a node on the tape."""
    if op.vjp is None:
        return op.expand(operands, attrs)
    results = _unrecorded(op, operands, attrs) if op.is_expanded else eager.run(op, operands, attrs)
    attach(OpNode(op, operands, attrs, results), results)
    return op.pack(results)


def _unrecorded(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[Tensor, ...]:
    """The results of a decomposition without its history, which the op's own gradient formula replaces."""
    STATE.enabled = False
    try:
        results = op.expand(operands, attrs)
    finally:
        STATE.enabled = True
    return results if isinstance(results, tuple) else (results,)


dispatch.register_handler(Tensor, handle, rank=1)
dispatch.set_default_creation(handle)
