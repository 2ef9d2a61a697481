"""A compiled graph as a function on tensors: what one call does around the native code.

The pure graphs know neither tensors nor aliasing nor the tape. A call hands their arrays in, draws random keys, writes
new elements back to the inputs that the user's code mutated, rebuilds the views that eager execution would have
returned, and puts one node on the tape whose backward pass is the compiled backward graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from tracegraph.aot.record import (
    Detached,
    FromInput,
    FromOutput,
    MutationRecord,
    Result,
    Static,
    ViewChain,
    ViewOfResult,
    memory_of_result,
)
from tracegraph.autograd import enable_grad
from tracegraph.autograd.anomaly import DETECTION
from tracegraph.autograd.inplace import check_target, rewrite_history, takes_part
from tracegraph.autograd.tape import handle
from tracegraph.errors import ElementError, IndexRangeError, TracegraphError
from tracegraph.ir import bind_sizes
from tracegraph.ir.interpreter import at_sizes
from tracegraph.ir.types import TensorType
from tracegraph.ops import functional
from tracegraph.ops.core.shared_memory import SharedMemory
from tracegraph.ops.effects.effects import check_writable
from tracegraph.ops.random.generator import get_rng_state, set_rng_state
from tracegraph.ops.random.random_bits import release_keys_from
from tracegraph.runtime.graph_node import Differentiation, Executable, GraphNode
from tracegraph.tensor import Tensor
from tracegraph.tensor.sharing import row_of, seen_by, shared_memories

F = TypeVar("F", bound=Callable[..., Any])


def atomic(function: F) -> F:
    """Mark a callable that has had no effects where it raises: whoever calls it may do its work in another way."""
    function.is_atomic = True  # type: ignore[attr-defined]
    return function


class CompiledGraph:
    """Callable on the tensors that the captured graph takes; returns its outputs as a list.

    Args:
        types: types of the inputs of the captured graph.
        record: what functionalising took out.
        forward: the compiled (forward) graph.
        differentiation: present if the graph was compiled for training.
        op_by_op: executes the captured graph eagerly; used where an input that is written to shares memory with
            another input, or counts writes together with one, other than the record says, and to raise what eager
            execution raises.
    """

    def __init__(
        self,
        types: Sequence[TensorType],
        record: MutationRecord,
        forward: Executable,
        differentiation: Differentiation | None,
        op_by_op: Callable[..., Sequence[Any]],
    ) -> None:
        self.types = tuple(types)
        self.record = record
        self.forward = forward
        self.differentiation = differentiation
        self.op_by_op = op_by_op
        self._is_symbolic = not all(t.is_static for t in self.types)
        self._written = record.written
        #: positions among the results of views made outside grad mode of what is not returned otherwise
        self._unrecorded = [
            (n, r.chain) for n, r in enumerate(record.results) if isinstance(r, FromOutput) and _is_unrecorded(r)
        ]
        #: positions of inputs whose versions count
        watched = differentiation.watched_inputs if differentiation is not None else ()
        self._watched = frozenset([position for position, *_ in watched])
        self._fresh = _fresh_results(record)
        #: (position among the results, index among the differentiable outputs) of results with a history
        differentiable = differentiation.differentiable if differentiation is not None else ()
        self._recorded = [(n, differentiable.index(o)) for n, o in enumerate(self._fresh or ()) if o in differentiable]
        #: (position among the results, output) of results that backward reads in eager
        read = differentiation.read_outputs if differentiation is not None else frozenset()
        self._read = [(n, o) for n, o in enumerate(self._fresh or ()) if o in read]
        #: (position among the results, version) of results that the graph has written to
        versions = dict(record.versions)
        self._versions = [(n, versions[o]) for n, o in enumerate(self._fresh or ()) if o in versions]

    def __call__(self, *inputs: Tensor) -> Sequence[Any]:
        try:
            return self.run(inputs)
        except (ElementError, IndexRangeError) as error:
            self._fail(error, inputs)

    @atomic
    def run(self, inputs: Sequence[Tensor]) -> Sequence[Any]:
        """As a call, with the inputs in a list.

        Raises:
            ElementError, IndexRangeError: a check failed; which element was wrong is not known.
        """
        if DETECTION.enabled:
            return self.op_by_op(*inputs)
        if self._fresh is None:
            return self._run_with_effects(inputs)
        arrays = [t._np for t in inputs]
        outputs = self.forward(arrays)
        results = [Tensor(outputs[n]) for n in self._fresh]
        for position, version in self._versions:
            results[position].storage.version = version
        if self.differentiation is not None:
            node = GraphNode(self.differentiation, inputs, arrays, outputs)
            for position, index in self._recorded:
                node.adopt(results[position], index)
            for position, output in self._read:
                node.watch_output(results[position], output)
        for position, chain in self._unrecorded:
            results[position] = self._view(results[position], chain, inputs)
        return results

    def _run_with_effects(self, inputs: Sequence[Tensor]) -> Sequence[Any]:
        record = self.record
        if self._written and self._overlap_otherwise(inputs):
            return self.op_by_op(*inputs)
        arrays = [t._np for t in inputs]
        for position in self._written:
            check_writable(arrays[position])
        self._check_targets(inputs)
        keys = _drawn(record)
        arrays += [row_of(memory, inputs) for memory in record.memories]
        arrays += keys
        try:
            outputs = self.forward(arrays)
        except BaseException:
            _undo_draws(record, keys)
            raise
        if record.next_key is not None:
            release_keys_from(keys[-1], outputs[record.next_key])
        # operations outside grad mode are detached in the graph, so the mode of the call does not matter
        plan = self.differentiation
        node = GraphNode(plan, inputs, arrays, outputs) if plan is not None else None
        tensors = self._tensors(outputs, node)
        self._write_back(inputs, outputs, node)
        made: dict[int, Any] = {}
        return [self._result(r, inputs, tensors, made, node) for r in record.results]

    def _overlap_otherwise(self, inputs: Sequence[Tensor]) -> bool:
        """Whether an input that is written to shares memory, or versions that count, in a way that the graph does not
        know of.
        """
        memories = self.record.memories
        if memories and shared_memories(inputs, self._written) != memories:
            return True
        return _overlapping(inputs, self._written, self._watched, memories)

    def _fail(self, error: TracegraphError, inputs: Sequence[Tensor]) -> NoReturn:
        """Raise what eager execution raises, after the effects it has until then.

        The compiled graph knows that an element was wrong, not which one, and has written nothing back.

        Raises:
            TracegraphError: eager execution's; that of the compiled graph if there is none.
        """
        try:
            self.op_by_op(*inputs)
        except Exception as eager:
            raise eager from None
        raise error

    def _check_targets(self, inputs: Sequence[Tensor]) -> None:
        """Refuse writes that eager execution refuses to record."""
        differentiable = self.differentiation.differentiable if self.differentiation is not None else ()
        for write in self.record.write_backs:
            target = inputs[write.input]
            if not write.keeps_history and (write.output in differentiable or takes_part(target)):
                check_target(target)

    def _tensors(self, outputs: Sequence[np.ndarray], node: GraphNode | None) -> dict[int, Tensor]:
        """The tensors that outputs become, by output, with their history."""
        places = map(memory_of_result, self.record.results)
        tensors = {r.output: Tensor(outputs[r.output]) for r in places if isinstance(r, FromOutput)}
        for output, version in self.record.versions:
            if output in tensors:
                tensors[output].storage.version = version
        if node is not None:
            for index, output in enumerate(node.plan.differentiable):
                if output in tensors:
                    node.adopt(tensors[output], index)
            for output in node.plan.read_outputs.intersection(tensors):
                node.watch_output(tensors[output], output)
        return tensors

    def _write_back(self, inputs: Sequence[Tensor], outputs: Sequence[np.ndarray], node: GraphNode | None) -> None:
        for write in self.record.write_backs:
            target = inputs[write.input]
            if node is not None and write.output in node.plan.differentiable:
                written = Tensor(outputs[write.output])
                node.adopt(written, node.plan.differentiable.index(write.output))
                rewrite_history(target, written)
            elements = outputs[write.output]
            np.copyto(target._np, elements if write.member is None else seen_by(write.member, elements, target.shape))
            target.storage.version += write.writes

    def _result(
        self,
        result: Result,
        inputs: Sequence[Tensor],
        tensors: dict[int, Tensor],
        made: dict[Any, Any],
        node: GraphNode | None,
    ) -> Any:
        """The tensor for `result`; `made` has those that were made, by the identity of the result."""
        if isinstance(result, Static):
            return at_sizes(result.value, self._sizes(inputs))
        if id(result) not in made:
            made[id(result)] = self._made(result, inputs, tensors, made, node)
        return made[id(result)]

    def _made(
        self,
        result: FromInput | FromOutput | Detached | ViewOfResult,
        inputs: Sequence[Tensor],
        tensors: dict[int, Tensor],
        made: dict[Any, Any],
        node: GraphNode | None,
    ) -> Tensor:
        if isinstance(result, Detached):
            tensor: Tensor = self._result(result.memory, inputs, tensors, made, node)
            if node is not None and result.output in node.plan.differentiable:
                node.adopt(tensor, node.plan.differentiable.index(result.output))
            return tensor
        if isinstance(result, ViewOfResult):
            tensor = self._result(result.base, inputs, tensors, made, node)
        else:
            tensor = inputs[result.input] if isinstance(result, FromInput) else tensors[result.output]
        return self._view(tensor, result.chain, inputs) if result.chain else tensor

    def _view(self, tensor: Tensor, chain: ViewChain, inputs: Sequence[Tensor]) -> Tensor:
        """Rebuild a view; where the user's code made it outside grad mode, `detach` is part of the chain."""
        sizes = self._sizes(inputs) if self._is_symbolic else {}
        with enable_grad():
            for op, attrs in chain:
                tensor = handle(op, (tensor,), {k: at_sizes(v, sizes) for k, v in attrs.items()})
        return tensor

    def _sizes(self, inputs: Sequence[Tensor]) -> dict[str, int]:
        return bind_sizes(self.types, [t.shape for t in inputs])


def _fresh_results(record: MutationRecord) -> tuple[int, ...] | None:
    """The outputs that the results are, if each is a new tensor of its own and the call has no other effect."""
    if record.keys or record.write_backs:
        return None
    fresh = [r.output for r in record.results if isinstance(r, FromOutput) and (not r.chain or _is_unrecorded(r))]
    return tuple(fresh) if len(set(fresh)) == len(record.results) else None


def _is_unrecorded(result: FromOutput) -> bool:
    """Whether it is the whole of the output, but for being a view that was made outside grad mode."""
    return len(result.chain) == 1 and not result.chain[0][0].is_recorded


def _drawn(record: MutationRecord) -> list[np.ndarray]:
    """The random keys that a call takes."""
    if record.next_key is None:
        return [functional.next_key()._np for _ in range(record.keys)]
    return [functional.next_key()._np for _ in range(record.keys - 1)] + [functional.reserve_keys()._np]


def _undo_draws(record: MutationRecord, keys: Sequence[np.ndarray]) -> None:
    """Let the generator draw `keys` again, unless others have drawn since."""
    if record.next_key is not None:
        release_keys_from(keys[-1], keys[-1])
        keys = keys[:-1]
    seed, draws = get_rng_state()
    if keys and draws == int(keys[-1][1]) + 1:
        set_rng_state((seed, int(keys[0][1])))


def _overlapping(
    inputs: Sequence[Tensor], written: frozenset[int], watched: frozenset[int], memories: Sequence[SharedMemory]
) -> bool:
    """Whether an input that is written to shares memory with another input, or its version with a watched one; apart
    from those in one of `memories`.
    """
    return any(
        (
            np.may_share_memory(inputs[w]._np, other._np)
            or (position in watched and other._storage is not None and other._storage is inputs[w]._storage)
        )
        and not any(m.positions >= {w, position} for m in memories)  # asked of few: there are many pairs
        for w in written
        for position, other in enumerate(inputs)
        if position != w
    )
