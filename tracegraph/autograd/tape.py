"""The tape: what each recorded operation leaves behind, and the dispatch handler that records.

A tensor made by a recorded op carries `(node, index)`; the node knows the op, the edges to the nodes (or leaves) of
its operands, and what the op's `vjp` reads. Nodes are numbered in the order they were recorded, which is the order
the engine undoes.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tracegraph.autograd.anomaly import DETECTION, forward_location
from tracegraph.autograd.grad_mode import STATE
from tracegraph.dtypes import DType
from tracegraph.errors import AutogradError
from tracegraph.ir.abstract import Abstract
from tracegraph.ops.core import dispatch
from tracegraph.ops.core.definition import Definition
from tracegraph.tensor import eager
from tracegraph.tensor.storage import Storage
from tracegraph.tensor.tensor import Tensor

_numbers = itertools.count()


def mark() -> int:
    """A number between those of the nodes recorded so far and those to come."""
    return next(_numbers)


class OperandInfo:
    """Stands in for an operand that the gradient formula does not read: its shape and dtype."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: DType) -> None:
        self.shape = shape
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)


#: where an operand's cotangent goes, (node, index, leaf): result `index` of `node`, or `leaf.grad` without a node;
#: a plain tuple, which costs a third of an object to make
Edge: TypeAlias = "tuple[Node | None, int, Tensor | None]"


def edge_to(operand: Any) -> Edge | None:
    """The edge for an operand; None where no gradient is wanted."""
    if not isinstance(operand, Tensor):
        return None
    if operand._view is None:
        if not operand._requires_grad:
            return None
        node = operand._grad_fn
    elif operand.requires_grad:
        node = operand.grad_fn
    else:
        return None
    return (None, 0, operand) if node is None else (node, operand._grad_index, None)


#: sees the whole gradient of a result, by its index, and gives what goes on in its place
Inspect: TypeAlias = "Callable[[int, Tensor], Tensor]"


class Node(Abstract):
    """A step of the tape. Subclasses compute cotangents of the operands from those of the results."""

    __slots__ = ("__weakref__", "edges", "hooks", "number", "origin", "results")

    def __init__(self, edges: tuple[Edge | None, ...], results: int) -> None:
        #: the order of recording; a node put in later, in the place of others, lies between theirs
        self.number: float = next(_numbers)
        self.edges = edges
        self.results = results
        #: hooks of result tensors, by result index
        self.hooks: dict[int, dict[int, Any]] | None = None
        #: the line it was recorded on, where anomalies are looked for
        self.origin = forward_location() if DETECTION.enabled else None

    @property
    @abstractmethod
    def name(self) -> str:
        """What `tensor.grad_fn` prints as."""

    @abstractmethod
    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        """Cotangents of the operands, one per edge; None where there is none."""

    # Of most nodes no result is computed from another. Those that stand for several operations may have such results;
    # where somebody asks for the whole gradient of one, its stand-in gives it.

    @property
    def is_divided(self) -> bool:
        """Whether its stand-in is in use too, and a gradient must not go to the two in parts."""
        return False

    def connects(self, cotangents: Sequence[Tensor | None], results: Collection[int]) -> bool:
        """Whether the gradient of one of these results has parts that come from other cotangents."""
        return False

    def stand_in(self, cotangents: Sequence[Tensor | None]) -> Node:
        """The node to which the cotangents go instead, if this one connects results; the same results come first.

        Raises:
            AutogradError: the saved values were freed or written to.
        """
        return self

    def inspected_backward(
        self, cotangents: tuple[Tensor | None, ...], results: Collection[int], inspect: Inspect
    ) -> Sequence[Tensor | None]:
        """As `backward`; `inspect` sees the whole gradients of `results`, as far as there are any."""
        seen = [inspect(i, c) if c is not None and i in results else c for i, c in enumerate(cotangents)]
        return self.backward(tuple(seen))

    @property
    def order(self) -> Sequence[int] | None:
        """The order in which the last pass reaches what the edges lead to; None for that of the edges."""
        return None

    @property
    def identity(self) -> Node:
        """The node that hooks and seekers of the results know; another one for a stand-in."""
        return self

    @abstractmethod
    def release(self) -> None:
        """Drop saved values; a second backward pass through this node is then an error."""

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __lt__(self, other: Node) -> bool:
        """Nodes of one number do not depend on each other: the engine may take either first."""
        return False

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """PyTorch's name for the edges."""
        return tuple(e[:2] if e is not None else (None, 0) for e in self.edges)

    def add_hooks(self, tensor: Tensor) -> None:
        """Let the engine call the tensor's hooks when its cotangent is known."""
        assert tensor._hooks is not None
        if self.hooks is None:
            self.hooks = {}
        self.hooks[tensor._grad_index] = tensor._hooks


class _SavedResult(NamedTuple):
    """A result the gradient formula reads: its array, as the tensor would make a reference cycle; and its version."""

    array: np.ndarray
    storage: Storage
    version: int


class OpNode(Node):
    """One executed op.

    It keeps the operands that the gradient formula reads, with the versions they had, and of other tensors an
    OperandInfo.
    """

    __slots__ = ("_operands", "_results", "_versions", "attrs", "op")

    def __init__(
        self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any], results: tuple[Tensor, ...]
    ) -> None:
        are_read, result_is_read = op.vjp_reads(len(operands))
        edges: list[Edge | None] = []
        kept: list[Any] = []
        versions: list[int] = []
        # one plain loop: this runs for every recorded op
        for operand, is_read in zip(operands, are_read, strict=True):
            if not isinstance(operand, Tensor):
                edges.append(None)
                kept.append(operand)
                versions.append(0)
                continue
            edges.append(edge_to(operand))
            if is_read:
                storage = operand._storage
                kept.append(operand)
                versions.append(storage.version if storage is not None else 0)
            else:
                kept.append(OperandInfo(operand._np.shape, operand.dtype))
                versions.append(0)
        super().__init__(tuple(edges), len(results))
        self.op = op
        self.attrs = attrs
        self._operands: list[Any] | None = kept
        self._versions = versions
        self._results = [
            _SavedResult(r._np, r.storage, r._version)
            if result_is_read and index not in op.unread_results
            else OperandInfo(r._np.shape, r.dtype)
            for index, r in enumerate(results)
        ]

    @property
    def name(self) -> str:
        return f"{self.op.name.title().replace('_', '')}Backward"

    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        if self._operands is None:
            raise _spent(self.op.name)
        results = tuple([self._load_result(r, i) for i, r in enumerate(self._results)])
        needs = [e is not None for e in self.edges]
        on_read = self._check_versions if self._has_changed(self._operands) else None
        return self.op.pullback(cotangents, results, tuple(self._operands), self.attrs, needs, on_read)

    def inspected_backward(
        self, cotangents: tuple[Tensor | None, ...], results: Collection[int], inspect: Inspect
    ) -> Sequence[Tensor | None]:
        hooked = {i: p for i in results if (p := self.op.hooked_operand(i, self.attrs)) is not None}
        gradients = list(super().inspected_backward(cotangents, set(results) - set(hooked), inspect))
        for index, position in hooked.items():
            gradient = gradients[position]
            if gradient is not None:
                gradients[position] = inspect(index, gradient)
        return gradients

    def release(self) -> None:
        """Drop saved values. A node that keeps no elements can be gone through again, as in PyTorch."""
        if any(isinstance(r, _SavedResult) for r in self._results) or any(
            isinstance(o, Tensor) for o in self._operands or ()
        ):
            self._operands = None
            self._results = []

    def keep_elements_of(self, tensor: Tensor) -> None:
        """Keep a copy of `tensor` where the node saved the tensor itself, before its elements are overwritten."""
        for position, saved in enumerate(self._operands or ()):
            if saved is tensor and self._versions[position] == tensor._version:
                copy = Tensor(tensor._np.copy(), tensor.requires_grad)
                copy._grad_fn, copy._grad_index = tensor.grad_fn, tensor._grad_index
                assert self._operands is not None
                self._operands[position] = copy
                self._versions[position] = 0

    def _load_result(self, saved: Any, index: int) -> Any:
        if not isinstance(saved, _SavedResult):
            return saved
        result = Tensor(saved.array)
        result._requires_grad = result.dtype.is_floating
        result._grad_fn, result._grad_index = self, index
        return result

    def _has_changed(self, operands: Sequence[Any]) -> bool:
        """Whether anything kept was written to since, be it read or not."""
        if self._versions != list(map(_version_of, operands)):
            return True
        for saved in self._results:
            if isinstance(saved, _SavedResult) and saved.version != saved.storage.version:
                return True
        return False

    def _check_versions(self, read: Collection[str]) -> None:
        """Refuse what the gradient formula is about to read if it was written to since."""
        assert self._operands is not None
        if self.op.vjp_parameters[0] in read:
            for saved in self._results:
                if isinstance(saved, _SavedResult):
                    self._check_version("the result", saved.array.shape, saved.version, saved.storage.version)
        for position, (operand, version) in enumerate(zip(self._operands, self._versions, strict=True)):
            if isinstance(operand, Tensor) and self.op.reads_operand(position, read):
                self._check_version("an operand", operand.shape, version, operand._version)

    def _check_version(self, what: str, shape: tuple[int, ...], saved: int, now: int) -> None:
        if saved != now:
            raise modified_error(what, self.op.name, shape, saved, now)


def modified_error(what: str, op: str, shape: Sequence[int], saved: int, now: int) -> AutogradError:
    """The error that something a gradient formula reads was written to."""
    return AutogradError(
        f"{what} of {op}, of shape {list(shape)}, was modified by an in-place operation after it was saved for "
        f"backward (version {saved}, now {now}); write out of place or clone() it first"
    )


def _version_of(kept: Any) -> int:
    return kept._version if isinstance(kept, Tensor) else 0


# ------------------------------------------------------------------------------------------------ recording


def _spent(op: str) -> AutogradError:
    return AutogradError(
        f"backward through {op} a second time, after its saved values were freed; pass retain_graph=True to the first "
        "backward()"
    )


class SpentNode(Node):
    """In the place of an op, when a backward pass has gone for good through it, or through one behind it (`spent`)."""

    __slots__ = ("_op", "_spent")

    def __init__(self, op: str, spent: str) -> None:
        super().__init__((), 1)
        self._op = op
        self._spent = spent

    @property
    def name(self) -> str:
        return f"{self._op.title().replace('_', '')}Backward"

    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        raise _spent(self._spent)

    def release(self) -> None:
        """Nothing is saved."""


def attach(node: Node, results: Sequence[Tensor]) -> None:
    """Make `results` the results of `node` on the tape."""
    for index, result in enumerate(results):
        if result.dtype.is_floating:
            result._requires_grad = True
            result._grad_fn = node
            result._grad_index = index


def handle(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """The dispatch handler of eager tensors: execute, and record if a gradient may be wanted."""
    if op.changes_operands:
        from tracegraph.autograd.inplace import change

        return change(op, operands, attrs)
    arrays = []
    requires_grad = False
    for o in operands:
        if isinstance(o, Tensor):
            arrays.append(o._np)
            if o._requires_grad if o._view is None else o.requires_grad:
                requires_grad = True
        else:
            arrays.append(o)
    if requires_grad and STATE.enabled and op.is_differentiable:
        return _recorded(op, operands, attrs)
    if op.is_expanded:
        return op.expand(operands, attrs)
    results = eager.wrapped(op, operands, attrs, op.run(*arrays, **attrs))
    if op.is_view and not STATE.enabled:
        _mark_views(results, is_recorded=False)
    return results[0] if len(results) == 1 else op.pack(results) if results else None


def _mark_views(results: Sequence[Tensor], is_recorded: bool) -> None:
    for result in results:
        if result._view is not None:
            result._view.is_recorded = is_recorded


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
    listed = results if isinstance(results, tuple) else (results,)
    _mark_views(listed, is_recorded=True)
    return listed


dispatch.register_handler(Tensor, handle, rank=1)
dispatch.set_default_creation(handle)
