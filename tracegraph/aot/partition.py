"""The cut of a joint graph into a forward and a backward graph.

    graph f(%x: f32[4] primal, %t0: f32[4] cotangent) {
      %0: f32[4] = exp(%x)
      %1: f32[4] = mul(%t0, %0)
      return %0, %1
    }
    -->
    graph f.forward(%x: f32[4] primal) {       graph f.backward(%saved0: f32[4] saved, %t0: f32[4] cotangent) {
      %0: f32[4] = exp(%x)                       %0: f32[4] = mul(%t0, %saved0)
      return %0, %0                              return %0
    }                                          }

A partitioner decides which values to save; `cut` does the rest for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from tracegraph.aot.dataflow import memory_of, needed
from tracegraph.aot.joint import Joint
from tracegraph.dtypes import float32
from tracegraph.errors import IRError
from tracegraph.ir import Graph, Kind, Node, Rebuilder, Role, TensorType, Value, lookup
from tracegraph.ir import dim as dims
from tracegraph.ir.fused import node_symbols
from tracegraph.ops import functional as F
from tracegraph.ops.graphs.recording import Recorder


@dataclass(frozen=True)
class Partition:
    """Two graphs. `forward` takes the inputs and returns the outputs, then the saved values. `backward` takes some of
    the inputs as they were, the saved values and the cotangents, in this order, and returns the gradients.

    Attributes:
        outputs: the number of outputs of the primal graph.
        saved_inputs: positions of the inputs that backward takes. Whoever keeps them must check that they were not
            written to meanwhile; inputs that the call itself writes to are not among them.
        restore: makes a third graph, which takes the inputs and saved values that backward takes, then the inputs at
            `restore_inputs`, and returns the kept values of the joint graph.
        restore_inputs: positions of further inputs that the third graph takes.
    """

    forward: Graph
    backward: Graph
    outputs: int
    saved_inputs: tuple[int, ...]
    restore: Callable[[], Graph]
    restore_inputs: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.forward}\n\n{self.backward}"


def partition_default(
    joint: Joint, written: frozenset[int] = frozenset(), lasting: frozenset[int] = frozenset()
) -> Partition:
    """Forward computes what the outputs need and nothing else; backward is given every value it reads of that.

    Args:
        written: positions of the inputs that are written to after the forward graph has run.
        lasting: positions of the inputs that outlive backward in any case.
    """
    forward = needed(joint.results, joint.graph)
    readers = needed(joint.gradients, joint.graph) - forward
    saved = dict.fromkeys(
        operand
        for node in joint.graph.nodes
        if node in readers
        for operand in node.operands
        if _is_savable(operand, forward)
    )
    returned = [g for g in joint.gradients if isinstance(g, Value) and _is_savable(g, forward)]
    return cut(joint, [*saved, *returned], written, lasting)


def _is_savable(value: Value, forward: set[Node]) -> bool:
    """Whether backward must be given a value it reads: an input, or computed in forward anyway."""
    if value.node.op == "constant" or value.role is Role.COTANGENT:
        return False
    return value.node.op == "placeholder" or value.node in forward


def cut(
    joint: Joint,
    saved: Iterable[Value],
    written: frozenset[int] = frozenset(),
    lasting: frozenset[int] = frozenset(),
) -> Partition:
    """Both halves of `joint`, given the values to save.

    In the place of a view its base is saved where that is no larger: a view costs nothing to make again, and a copy
    to return. Forward also saves an empty tensor for every size symbol that backward mentions and nothing else it
    takes shows.

    Values kept for higher derivatives are computed when they are asked for, from saved values and lasting inputs.
    What cannot be, the call saves too.

    Raises:
        IRError: a gradient depends on an input that is neither saved nor below a saved value.
    """
    chosen = tuple(dict.fromkeys(map(_base_to_save, saved)))
    inputs = joint.primals
    chosen = (*chosen, *_out_of_reach(joint, {*chosen, *(inputs[i] for i in lasting - written)}))
    readers = needed(joint.gradients, joint.graph, frozenset((*chosen, *joint.cotangents)))
    missing = [n.value for n in readers if n.op == "placeholder"]
    if missing:
        raise IRError(f"cut of {joint.graph.name}: backward reads {missing[0]!r}, which is not saved")
    kept = {value: i for i, value in enumerate(inputs) if value in chosen and i not in written}
    computed = [v for v in chosen if v not in kept]
    witnesses = _unseen_symbols(readers, (*chosen, *joint.cotangents))
    forward = _forward(joint, computed, witnesses, {joint.primals[i] for i in written})
    backward = _backward(joint, (*kept, *computed), witnesses, readers)
    restorers = needed(joint.kept, joint.graph, frozenset(chosen))
    more = {value: i for i, value in enumerate(inputs) if value.node in restorers}
    restore = partial(_restoring, joint, (*kept, *computed), witnesses, restorers)
    return Partition(forward, backward, joint.outputs, tuple(kept.values()), restore, tuple(more.values()))


def _out_of_reach(joint: Joint, given: Iterable[Value]) -> list[Value]:
    """Kept values that cannot be computed from the given ones."""
    known, kept = set(given), set(joint.kept)
    found = []
    for node in joint.graph.nodes if kept else ():
        computable = node.op != "placeholder" and known.issuperset(node.operands)
        for value in node.values:
            if not computable and value in kept and value not in known:
                found.append(value)
            elif not computable:
                continue
            known.add(value)
    return found


def _forward(joint: Joint, saved: Sequence[Value], witnesses: Sequence[str], overwritten: set[Value]) -> Graph:
    nodes = needed((*joint.results, *saved, *_checked(joint)), joint.graph)
    rebuilder = Rebuilder(joint.graph, f"{joint.graph.name}.forward")
    for node in joint.graph.nodes:
        if node in nodes or (node.op == "placeholder" and node.role is not Role.COTANGENT):
            rebuilder.copy(node)
    builder = rebuilder.builder
    builder.location = None
    kept = [rebuilder.mapping[v] for v in saved]
    for i, value in enumerate(saved):
        if memory_of(value) in overwritten:
            kept[i] = builder.call(lookup("clone"), kept[i])
    with Recorder(builder).active():
        kept += [F.zeros(witness_type(s).shape).value for s in witnesses]
    builder.output(*map(rebuilder.operand, joint.results), *kept)
    return rebuilder.graph


def _checked(joint: Joint) -> list[Value]:
    """Results that nothing uses of calls that may fail, which forward makes for that."""
    used = needed((*joint.results, *joint.gradients), joint.graph)
    late = set(joint.cotangents)
    for node in joint.graph.calls:
        late.update(node.values if not late.isdisjoint(node.operands) else ())
    return [n.values[0] for n in joint.graph.calls if n.may_raise and n not in used and late.isdisjoint(n.values)]


def _backward(joint: Joint, saved: Sequence[Value], witnesses: Sequence[str], readers: set[Node]) -> Graph:
    rebuilder = _from_saved(joint, "backward", saved, witnesses)
    for node in joint.graph.nodes:
        if node in readers or node.role is Role.COTANGENT:
            rebuilder.copy(node)
    rebuilder.builder.output(*map(rebuilder.operand, joint.gradients))
    return rebuilder.graph


def _restoring(joint: Joint, saved: Sequence[Value], witnesses: Sequence[str], restorers: set[Node]) -> Graph:
    rebuilder = _from_saved(joint, "restore", saved, witnesses)
    for node in joint.graph.nodes:
        if node in restorers:
            rebuilder.copy(node)
    rebuilder.builder.output(*map(rebuilder.operand, joint.kept))
    return rebuilder.graph


def _from_saved(joint: Joint, name: str, saved: Sequence[Value], witnesses: Sequence[str]) -> Rebuilder:
    """A graph that begins with placeholders for the saved values, then for the witnesses of sizes."""
    rebuilder = Rebuilder(joint.graph, f"{joint.graph.name}.{name}")
    for i, value in enumerate(saved):
        rebuilder.mapping[value] = rebuilder.builder.placeholder(value.type, f"saved{i}", Role.SAVED)
    for i, symbol in enumerate(witnesses, len(saved)):
        rebuilder.builder.placeholder(witness_type(symbol), f"saved{i}", Role.SAVED)
    return rebuilder


def _base_to_save(value: Value) -> Value:
    """What to save for `value` if it is a view: an input, which needs no copy, or what is no larger than the view."""
    memory = best = value
    while memory.node.is_call and memory.node.call_op.kind is Kind.VIEW:
        memory = memory.node.operands[0]
        excess = memory.type.numel - best.type.numel
        if isinstance(excess, int) and excess <= 0:
            best = memory
    return memory if memory.node.op == "placeholder" else best


def witness_type(symbol: str) -> TensorType:
    """The type of an empty tensor that shows the size `symbol`."""
    return TensorType(float32, (dims.sym(symbol), 0))


def _unseen_symbols(nodes: set[Node], given: Sequence[Value]) -> list[str]:
    """Size symbols that the nodes mention and no given value has as a size, in alphabetical order."""
    shown = {str(d) for value in given for d in value.type.shape}
    mentioned = {s for value in given for d in value.type.shape for s in dims.symbols(d)}
    for node in nodes:
        mentioned |= node_symbols(node)
    return sorted(mentioned - shown)
