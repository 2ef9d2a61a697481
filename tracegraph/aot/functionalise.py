"""Mutation and aliasing out of a graph.

    graph f(%x: f32[4, 2], %y: f32[2]) {          graph f(%x: f32[4, 2], %y: f32[2]) {
      %0: f32[2] = basic_index(%x, index=[0])       %0: f32[2] = basic_index(%x, index=[0])
      copy_(%0, %y)                           -->   %1: f32[4, 2] = basic_index_scatter(%x, %y, index=[0])
      %1: f32[4, 2] = neg(%x)                       %2: f32[4, 2] = neg(%1)
      return %1                                     return %1, %2
    }                                             }       write back output 0 to input 0; result 0 is output 1

Every tensor of the graph is an `Alias`: a memory of its own, or a view of another alias. A write goes up the views
to the memory by their `scatter` rules and makes a new version of it; an alias read after that is derived from the new
version by the same views. Views left without use are for `dce` to remove.

`detach` is a view through which no gradient flows, in either direction: a detached alias that was written to has a
history of its own. What others write to its memory changes its elements and not its history: `replace_elements`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

import numpy as np

from tracegraph.aot.alias import Alias, is_dense, views_of_row
from tracegraph.aot.dataflow import memory_of
from tracegraph.aot.reads import is_read_unversioned, may_be_read, read_and_overwritten
from tracegraph.aot.record import (
    Detached,
    FromInput,
    FromOutput,
    Held,
    MutationRecord,
    Result,
    Static,
    ViewOfResult,
    WriteBack,
    memory_of_result,
)
from tracegraph.errors import IRError
from tracegraph.ir import Builder, Graph, Node, Operand, Role, TensorType, Value, lookup
from tracegraph.ir import dim as dims
from tracegraph.ir.subgraphs import subgraphs
from tracegraph.ops import functional as F
from tracegraph.ops.core.random_key import KEY
from tracegraph.ops.core.shared_memory import Member, SharedMemory
from tracegraph.ops.graphs.recording import Recorder, Traced
from tracegraph.ops.kinds import View


def functionalise(graph: Graph, memories: Sequence[SharedMemory] = ()) -> tuple[Graph, MutationRecord]:
    """The pure graph of `graph`, and the record of what it leaves to its caller.

    The pure graph takes the inputs of `graph`, a row of elements for each of `memories`, and then a placeholder of role
    `rng_key` for every random key drawn. It returns the new elements of inputs written to, and of `memories`, then the
    tensors that the results are made of. Where how many keys are drawn shows only when it runs, the last of these
    placeholders is the first of them, and the last output the one that is to be drawn next.

    Args:
        memories: where inputs that are written to, or others with them, lie in one memory. Inputs must share none
            but these; whoever calls the pure graph checks. No write to one may take part in a history.

    Raises:
        IRError: an op with an effect other than writing to an operand or drawing a key.
        ShapeError: a write to a view several elements of which share one place in memory.
    """
    rewriter = _Functionaliser(graph, memories)
    rewriter.inputs()
    for node in graph.nodes:
        rewriter.visit(node)
    return rewriter.finish()


def functionalise_body(body: Graph) -> Graph:
    """The pure graph of `body`, a graph that is part of another: it returns what `body` does and leaves nothing else.

    Raises:
        IRError: it writes to one of its inputs, draws random numbers, or has another effect.
        ShapeError: a write to a view several elements of which share one place in memory.
    """
    rewriter = _Functionaliser(body)
    rewriter.inputs()
    for node in body.nodes:
        rewriter.visit(node)
    return rewriter.finish_body()


def _pure_body(node: Node, body: Graph) -> Graph:
    """The pure graph of a graph that `node` runs."""
    try:
        return functionalise_body(body)
    except IRError as e:
        where = f" at {node.location}" if node.location else ""
        raise IRError(f"{node.call_op.name}{where}: {e}") from None


class _Functionaliser:
    """Rebuilds a graph, keeping an alias for each of its values."""

    def __init__(self, graph: Graph, memories: Sequence[SharedMemory] = ()) -> None:
        self.graph = graph
        self.memories = memories
        #: the memories as rows of elements
        self.rows: list[Alias] = []
        self.builder = Builder(graph.name)
        self.recorder = Recorder(self.builder)
        self.aliases: dict[Value, Alias] = {}
        self.keys = 0
        #: of the next draw, where its number shows only when the graph runs
        self.key: Value | None = None
        #: what each value that is no view holds: the elements of which alias, after how many writes to its memory
        self.held: dict[Value, tuple[Alias, Alias, int]] = {}
        #: the elements that tensors had before, each with the number of writes that they have seen
        self.former: list[tuple[Alias, Value, int]] = []
        #: tensors that were given other memory, and what they are since
        self.moved: dict[Alias, Alias] = {}
        #: operands that the gradient of a node reads, while its result overwrites them: their elements are kept
        self.kept = read_and_overwritten(graph)

    # ------------------------------------------------------------------------------------ reading and writing

    def current(self, alias: Alias) -> Value:
        """The elements of `alias` now."""
        version = alias.root.version
        if alias.version != version:
            assert alias.origin is not None and alias.op is not None, "the root of a memory is always current"
            elements = self.current(alias.origin)
            if alias.has_history:
                traced = map(self.recorder.traced, (alias.value, elements))
                self.put(alias, alias.op.scatter(*traced, **alias.attrs).value)
                self.hold(alias)
            else:
                self.put(alias, self.builder.call(alias.op, elements, **alias.attrs))
            alias.version = version
        return alias.value

    def write(self, alias: Alias, elements: Traced) -> None:
        """Let `elements`, of the type of `alias`, be its elements; scatter rules refuse elements that overlap."""
        if alias.origin is None:
            alias.version += 1
        else:
            assert alias.op is not None
            alias.has_history |= not alias.op.shares_history
            base = self.recorder.traced(self.current(alias.origin))
            with self.recorder.active():
                scattered = alias.op.scatter(base, elements, **alias.attrs)
            self.write(alias.origin, scattered)
        self.put(alias, elements.value)
        alias.version = alias.root.version
        self.hold(alias)

    def put(self, alias: Alias, value: Value) -> None:
        """Let `value` be the elements of `alias`."""
        self.former.append((alias, alias.value, alias.counted))
        alias.value, alias.counted = value, alias.counter.writes

    def hold(self, alias: Alias) -> None:
        """Note that the value of `alias`, which no other alias has, holds its elements as they are now."""
        self.held[memory_of(alias.value)] = alias, alias.counter, alias.counter.writes

    def made(self, value: Value) -> Alias:
        """A memory of its own."""
        alias = Alias(value)
        self.hold(alias)
        return alias

    def operand(self, old: Operand) -> Operand:
        return self.current(self.aliases[old]) if isinstance(old, Value) else old

    # ------------------------------------------------------------------------------------ nodes

    def inputs(self) -> None:
        """Placeholders, each a memory of its own, but for those in `memories`."""
        shared = frozenset[int]().union(*(m.positions for m in self.memories))
        given = []
        for position, old in enumerate(self.graph.placeholders):
            self.builder.location = old.node.location
            given.append(self.builder.placeholder(old.type, old.node.name, old.role))
            if position not in shared:
                self.aliases[old] = self.made(given[-1])
                self.aliases[old].input = position
        for memory in self.memories:
            root = self.made(self.builder.placeholder(TensorType(memory.dtype, (memory.extent,)), "memory"))
            root.is_row = True
            self.rows.append(root)
            root.input = next(m.position for m in memory.members if not memory.is_own_counter(m))
            for member in memory.members:
                alias = self.member(root, memory, member, given[member.position])
                self.aliases[self.graph.placeholders[member.position]] = alias

    def member(self, root: Alias, memory: SharedMemory, member: Member, value: Value) -> Alias:
        """An input in a memory, a view of it; one with a history of its own is detached from it, as it were."""
        alias = root
        for op, attrs in views_of_row(member, value.type, memory.extent):
            alias = Alias(self.builder.call(op, alias.value, **attrs), alias, op, attrs)
        if member.requires_grad:
            detaching = lookup("tensor_data" if memory.is_own_counter(member) else "detach")
            alias = Alias(value, alias, detaching)  # type: ignore[arg-type]
            alias.has_history = True
            self.hold(alias)
        alias.input = member.position
        return alias

    def visit(self, node: Node) -> None:
        self.builder.location = node.location
        if node.op == "constant":
            assert isinstance(node.target, np.ndarray)
            self.aliases[node.value] = self.made(self.builder.constant(node.target, node.name))
        elif node.op == "call":
            (self.pure_call if node.is_pure else self.effect)(node)

    def pure_call(self, node: Node) -> None:
        op = node.call_op
        if isinstance(op, View):
            operand, *history = node.operands
            origin = self.aliases[operand]
            if history:
                # as what is detached and then given these elements, which are those that are there
                alias = Alias(self.operand(*history), origin, lookup("detach"))  # type: ignore[arg-type]
                alias.has_history = True
                self.hold(alias)
            else:
                alias = Alias(self.builder.call(op, self.current(origin), **node.attrs), origin, op, node.attrs)
            self.aliases[node.value] = alias
            return
        attrs = {**node.attrs, **{name: _pure_body(node, body) for name, body in subgraphs(node).items()}}
        operands = list(map(self.operand, node.args))
        for position in self.kept.get(node, ()):
            operands[position] = self.builder.call(lookup("clone"), operands[position])
        results = self.builder.call_all(op, *operands, **attrs)
        self.aliases.update((old, self.made(new)) for old, new in zip(node.values, results, strict=True))

    def effect(self, node: Node) -> None:
        """Put the pure counterpart of an effect.

        Raises:
            IRError: it has none.
        """
        pure = _EFFECTS.get(node.call_op.name)
        if pure is None:
            where = f" at {node.location}" if node.location else ""
            raise IRError(f"{node.call_op.name}{where} has an effect that a pure graph cannot state: {node!r}")
        pure(self, node)

    def copy_into(self, node: Node) -> None:
        """A write is a new version of what is written to."""
        target, source = node.operands
        alias = self.aliases[target]
        start = alias.start
        start.is_written = True
        start.tracked_write |= all(op.shares_history for op, _ in alias.chain_from(start))
        elements = self.converted(self.current(self.aliases[source]), target)
        # source and target stay two memories: what is later written to one, gradients that read the other may not see
        if alias.origin is None:
            elements = F.copy_elements(self.recorder.traced(alias.value), elements)
        else:
            elements = elements.clone()
        alias.counter.writes += 1
        if alias.counter is alias.root is not start:
            start.writes += 1
        self.write(alias, elements)

    def set_data(self, node: Node) -> None:
        """A tensor in other memory is another alias, with the history that the tensor has."""
        memory, tensor = (self.aliases[o] for o in node.operands)
        elements = F.replace_elements(*(self.recorder.traced(self.current(a)) for a in (tensor, memory)))
        alias = Alias(elements.value, memory, lookup("tensor_data"))  # type: ignore[arg-type]
        alias.has_history, alias.formerly = True, tensor
        alias.counted = alias.counter.writes
        self.hold(alias)
        self.aliases[node.value] = self.moved[tensor] = alias

    def next_key(self, node: Node) -> None:
        """A random key that the graph drew is an input, to be drawn by the caller, or follows from the one before."""
        if self.key is None:
            key = self.key_input()
        else:
            key = self.key
            following = F.add(self.recorder.traced(key), self.recorder.constant(np.array([0, 1])))
            self.key = following.value
        self.aliases[node.value] = self.made(key)

    def key_input(self) -> Value:
        key = self.builder.placeholder(KEY, f"key{self.keys}", Role.RNG_KEY)
        self.keys += 1
        return key

    def reserve_keys(self, node: Node) -> None:
        """The key from which a node draws any number of others."""
        if self.key is None:
            self.key = self.key_input()
        self.aliases[node.value] = self.made(self.key)

    def release_keys(self, node: Node) -> None:
        """The key that such a node leaves to the draws after it."""
        self.key = self.current(self.aliases[node.operands[1]])

    def converted(self, source: Value, target: Value) -> Traced:
        """`source` in the dtype and shape of `target`."""
        elements = self.recorder.traced(source)
        if source.type.dtype is not target.type.dtype:
            elements = F.cast(elements, target.type.dtype)
        if not dims.same_shape(elements.shape, target.type.shape):
            elements = elements.expand(target.type.shape)
        return elements

    # ------------------------------------------------------------------------------------ the end

    def finish_body(self) -> Graph:
        """The pure graph of a part of a graph: it leaves nothing to its caller, so returns what `graph` does."""
        written = [p for p in self.graph.placeholders if self.aliases[p].version]
        if written or self.keys:
            what = f"writes to {written[0]!r}, a tensor from outside" if written else "draws random numbers"
            raise IRError(f"{self.graph.name} {what}, which a part of a pure graph cannot state")
        return self.builder.output(*map(self.operand, self.graph.outputs))

    def finish(self) -> tuple[Graph, MutationRecord]:
        outputs: list[Operand] = []
        write_backs = []
        for position, old in enumerate(self.graph.placeholders):
            alias = self.aliases[old]
            if alias.origin is None and (alias.version or alias.writes):  # if only to be counted
                write_backs.append(WriteBack(position, len(outputs), not alias.tracked_write, alias.writes))
                outputs.append(self.current(alias))
        for memory, root in zip(self.memories, self.rows, strict=True):
            for member in memory.members:
                alias = self.aliases[self.graph.placeholders[member.position]]
                if alias.is_written:
                    write = WriteBack(member.position, len(outputs), not alias.tracked_write, alias.writes, member)
                    write_backs.append(write)
            outputs.append(self.current(root))
        positions: dict[Alias, int] = {}
        results = self.results(outputs, positions)
        if self.key is not None:
            outputs.append(self.key)
        versions = tuple((o, alias.counter.writes) for alias, o in positions.items() if alias.counter.writes)
        record = MutationRecord(
            len(self.graph.placeholders),
            self.keys,
            tuple(write_backs),
            results,
            versions,
            self.places(positions, results),
            frozenset([alias.input for alias in self.moved if alias.input is not None]),
            None if self.key is None else len(outputs) - 1,
            tuple(self.memories),
        )
        self.read_in_backward()
        return self.builder.output(*outputs), record

    def read_in_backward(self) -> None:
        """Put what gradient formulas find in backward where it is not what there was, and no counter tells of it, or
        they ask none.
        """
        present = dict.fromkeys(self.aliases.values())
        for alias, value, counted in (*self.former, *((a, a.value, a.counted) for a in present)):
            is_told = counted != alias.counter.writes and not is_read_unversioned(value)
            if is_told or not may_be_read(value):
                continue
            while alias in self.moved:
                alias = self.moved[alias]
            now = self.current(alias)
            if now is not value:
                F.read_in_backward(self.recorder.traced(value), self.recorder.traced(now))

    def places(self, positions: Mapping[Alias, int], results: Iterable[Result]) -> tuple[Held, ...]:
        """The values in memory of inputs or results, and those that hold what has been overwritten since."""
        own = {place.output for place in map(memory_of_result, results) if isinstance(place, FromOutput)}
        outputs = {alias.counter: output for alias, output in positions.items() if output in own}
        # where the memory is a result under a counter of its own (`Tensor.data`), writes to that are the ones noticed
        memories = {alias.root: output for alias, output in positions.items() if output in own}
        every = (
            Held(
                value,
                counter.input if alias.input is None else alias.input,
                outputs.get(counter, memories.get(counter.root)),
                before,
                counter.writes,
                alias.is_tensor,
            )
            for value, (alias, counter, before) in self.held.items()
        )
        return tuple(h for h in every if h.is_overwritten or h.input is not None or h.output is not None)

    def results(self, outputs: list[Operand], positions: dict[Alias, int]) -> tuple[Result, ...]:
        """Where each output comes from; what the pure graph must return for it is appended to `outputs`.

        `positions` is told which output holds the elements of which alias.
        """
        returned = {v: self.aliases[v] for v in self.graph.outputs if isinstance(v, Value)}

        def output(alias: Alias) -> int:
            if alias not in positions:
                positions[alias] = len(outputs)
                outputs.append(self.current(alias))
            return positions[alias]

        def result(alias: Alias) -> Result:
            root = alias.root
            sharing = sum(other.root is root for other in returned.values())
            if root.input is None and sharing == 1 and is_dense(alias):
                return FromOutput(output(alias), alias.unrecorded)
            base = alias.base
            if base is alias.start:
                return of_start(alias)
            return ViewOfResult(of_base(base), alias.chain_from(base)) if base is not alias else of_base(base)

        @cache
        def of_base(alias: Alias) -> FromInput | FromOutput | Detached:
            return Detached(of_start(alias), output(alias)) if alias.has_history else of_start(alias)

        def of_start(alias: Alias) -> FromInput | FromOutput:
            start, chain = alias.start, alias.chain_from(alias.start)
            return FromInput(start.input, chain) if start.input is not None else FromOutput(output(start), chain)

        found = {value: result(alias) for value, alias in returned.items()}
        return tuple(found[v] if isinstance(v, Value) else Static(v) for v in self.graph.outputs)


#: the effects a captured graph may have, and what becomes of them
_EFFECTS: dict[str, Callable[[_Functionaliser, Node], None]] = {
    "copy_": _Functionaliser.copy_into,
    "set_data": _Functionaliser.set_data,
    "next_key": _Functionaliser.next_key,
    "reserve_keys": _Functionaliser.reserve_keys,
    "release_keys": _Functionaliser.release_keys,
}
