"""From captured graph to callable: one call per stage, in order (the table in docs/architecture.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import TypeAlias

import numpy as np

from tracegraph.aot import (
    Joint,
    MutationRecord,
    Partition,
    differentiate,
    functionalise,
    partition_default,
    partition_min_cut,
)
from tracegraph.capture.reporting.user_frame import warn_user
from tracegraph.capture.session import COMPILING
from tracegraph.capture.trace.memories import written_roots
from tracegraph.codegen.compile import compile_program
from tracegraph.compiler import stages
from tracegraph.compiler.options import Options
from tracegraph.compiler.paused_collection import paused_collection
from tracegraph.errors import TracegraphError
from tracegraph.ir import Graph, Role, bind_sizes, interpret
from tracegraph.ir.fused import free_symbols
from tracegraph.ops.core.shared_memory import SharedMemory
from tracegraph.ops.graphs.graph_module import GraphModule
from tracegraph.passes import fuse, optimise, optimise_joint, plan_memory, run_passes
from tracegraph.runtime.compiled_graph import CompiledGraph
from tracegraph.runtime.expansion import Formulas
from tracegraph.runtime.graph_node import Differentiation, Executable
from tracegraph.settings import preserved
from tracegraph.tensor import Tensor
from tracegraph.tensor.sharing import shared_memories

#: makes a pure graph executable
Finish: TypeAlias = Callable[[Graph, Options], Executable]


#: elements of a buffer up to which a copy of it costs nothing next to a call
_STATISTICS = 1 << 14


@paused_collection()
def compile_graph(graph: Graph, example_inputs: Sequence[Tensor], options: Options, finish: Finish) -> CompiledGraph:
    """Compile a captured graph for inputs that require gradients where the examples do."""
    memories = _memories(graph, example_inputs)
    pure, record = stages.run("functionalise", graph.name, functionalise, graph, memories)
    types = [p.type for p in graph.placeholders]
    requires_grad = [t.requires_grad for t in example_inputs] + [False] * (len(memories) + record.keys)
    op_by_op = GraphModule(graph, Tensor)
    if not any(requires_grad):
        return CompiledGraph(types, record, finish(pure, options), None, op_by_op)
    cotangents = record.takes_cotangent(len(pure.outputs))
    joint = stages.run("joint", pure.name, differentiate, pure, requires_grad, cotangents, True, record.held)
    if not joint.differentiable:
        return CompiledGraph(types, record, finish(pure, options), None, op_by_op)
    # composites become visible to the cut, and forward and backward share what they have in common
    simple = stages.run("simplify", pure.name, simplified, joint, options)
    parts = stages.run("partition", pure.name, partition, simple, record, example_inputs, options)
    forward = finish(parts.forward, options)
    return CompiledGraph(types, record, forward, _differentiation(joint, record, parts, options, finish), op_by_op)


def _memories(graph: Graph, inputs: Sequence[Tensor]) -> tuple[SharedMemory, ...]:
    """The memories that inputs share; none where the graph cannot be compiled for them, and calls run op by op."""
    roots = written_roots(graph)
    found = shared_memories(inputs, [i for i, p in enumerate(graph.placeholders) if p in roots]) if roots else ()
    is_differentiated = any(t.requires_grad for t in inputs)
    if any(m.refusal or (is_differentiated and not m.is_countable) for m in found):
        return ()
    return found if all(graph.placeholders[i].type.is_static for m in found for i in m.positions) else ()


def simplified(joint: Joint, options: Options) -> Joint:
    """The joint graph after the passes that tie no forward node to a cotangent."""
    return replace(joint, graph=optimise_joint(joint.graph, options))


def partition(joint: Joint, record: MutationRecord, example_inputs: Sequence[Tensor], options: Options) -> Partition:
    """Cut the joint graph with the partitioner that the options name."""
    # data, parameters and random keys; not activations that other graphs have computed
    activations = {i for i, t in enumerate(example_inputs) if t.requires_grad and not t.is_leaf}
    lasting = frozenset(range(joint.inputs)) - activations
    written = record.overwritten | _statistics(joint)
    if options.partitioner == "default":
        return partition_default(joint, written, lasting)
    types = [p.type for p in joint.primals[: record.inputs]]
    return partition_min_cut(joint, written, lasting, bind_sizes(types, [t.shape for t in example_inputs]))


def _statistics(joint: Joint) -> frozenset[int]:
    """Positions of buffers that the next call may write to before backward, which eager execution would not refuse.

    Backward is to take copies of them. Of large ones, as masks are, it takes none.
    """
    read = {r.input for r in joint.reads}
    buffers = {i: p.type.numel for i, p in enumerate(joint.primals) if p.role is Role.BUFFER and i not in read}
    return frozenset([i for i, n in buffers.items() if isinstance(n, int) and n <= _STATISTICS])


def optimised_by(graph: Graph, options: Options) -> Graph:
    """The graph after the optimising passes and the user's own."""
    return run_passes(optimise(graph, options), options.custom_passes, check=True)


def native(graph: Graph, options: Options) -> Executable:
    """Optimise, fuse, plan and compile to native code; interpreted with a warning if a stage fails."""
    optimised = stages.run("optimise", graph.name, optimised_by, graph, options)
    try:
        fused = stages.run("fuse", graph.name, fuse, optimised) if options.fuse else optimised
        plan = stages.run("plan", graph.name, plan_memory, fused)
        return compile_program(plan, stages.run)
    except TracegraphError as e:
        if options.strict:
            raise
        warn_user(
            f"tracegraph could not compile graph {graph.name} to native code and interprets it instead: {e}. "
            "Please report this with the output of `tracegraph dump`; options={'strict': True} makes it an error."
        )
        return _Interpreted(optimised)


def interpreted(graph: Graph, options: Options) -> Executable:
    """Optimise, then run with the eager rules."""
    return _Interpreted(stages.run("optimise", graph.name, optimised_by, graph, options))


class _Interpreted:
    """An executable that interprets; results are copies, so that they share memory with nothing."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __call__(self, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        return [None if o is None else np.array(o, order="C") for o in interpret(self.graph, *inputs)]  # type: ignore[misc]


def _differentiation(
    joint: Joint, record: MutationRecord, parts: Partition, options: Options, finish: Finish
) -> Differentiation:
    @cache
    def backward() -> Executable:
        with COMPILING, preserved(), paused_collection():
            return finish(parts.backward, options)

    def run_backward(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        return backward()(arrays)

    if free_symbols(joint.graph):
        backward()  # now: what is decided about symbolic sizes must be guarded

    return Differentiation(
        types=tuple(p.type for p in joint.primals),
        outputs=parts.outputs,
        differentiable=joint.differentiable,
        wanted=joint.requiring,
        sources=joint.sources,
        arrivals=joint.arrivals,
        output_sources=joint.output_sources,
        asks_presence=joint.asks_presence,
        not_from_zeros=joint.not_from_zeros,
        meetings=joint.meetings,
        saved_inputs=parts.saved_inputs,
        input_cotangents=joint.input_cotangents,
        reads=joint.reads,
        writes=record.writes,
        replaced=record.replaced,
        viewed=record.viewed,
        restore_inputs=parts.restore_inputs,
        formulas=Formulas(joint, parts.restore),
        # compiled at the first backward pass: evaluation in grad mode never needs it
        backward=run_backward,
    )
