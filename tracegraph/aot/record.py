"""What functionalising took out of a graph: writes to inputs, and which results alias what.

Whoever calls the pure graph restores both from the record: first the write-backs, then the results in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from tracegraph.ir import Value
from tracegraph.ir.dim import SymExpr
from tracegraph.ir.printer import attr_text
from tracegraph.ops.core.shared_memory import Member, SharedMemory
from tracegraph.ops.kinds import View

#: view ops with their attributes, first applied first; eager tensors keep theirs in the same form
ViewChain: TypeAlias = tuple[tuple[View, Mapping[str, object]], ...]


@dataclass(frozen=True)
class WriteBack:
    """After the call, input number `input` holds the elements of output number `output` of the pure graph.

    Attributes:
        keeps_history: it was written to outside grad mode, so gradients flow as if it had not been.
        writes: how often it was written to, as its version counter says; writes through `Tensor.data` do not count.
        member: its place, where the output is a memory in which other inputs lie too.
    """

    input: int
    output: int
    keeps_history: bool = False
    writes: int = 1
    member: Member | None = None

    def __str__(self) -> str:
        history = ", outside grad mode" if self.keeps_history else ""
        count = "" if self.writes == 1 else f", {self.writes} writes"
        part = "" if self.member is None else "its part of "
        return f"{part}output {self.output} is written to input {self.input}{count}{history}"


@dataclass(frozen=True)
class FromInput:
    """A result that is input number `input` itself, or the view of it that `chain` makes."""

    input: int
    chain: ViewChain = ()

    def __str__(self) -> str:
        return _viewed(f"input {self.input}", self.chain)


@dataclass(frozen=True)
class FromOutput:
    """A result that is a tensor of its own, output number `output` of the pure graph, or a view of such a tensor.

    Results with the same `output` share memory; the tensor that `output` becomes must not share any with an input
    or another output, even where the pure graph returns the same value for both.
    """

    output: int
    chain: ViewChain = ()

    def __str__(self) -> str:
        return _viewed(f"output {self.output}", self.chain)


@dataclass(frozen=True)
class Detached:
    """A result detached from `memory`, in which it lies, and written to since: its history is that of `output`."""

    memory: FromInput | FromOutput
    output: int

    def __str__(self) -> str:
        return f"{self.memory}, with the history of output {self.output}"


@dataclass(frozen=True)
class ViewOfResult:
    """A result that is the view of `base` that `chain` makes, where `base` has a history of its own.

    Results with one `base`, the same record object, follow it to another history.
    """

    base: FromInput | FromOutput | Detached
    chain: ViewChain

    def __str__(self) -> str:
        return _viewed(str(self.base), self.chain)


@dataclass(frozen=True)
class Static:
    """A result that is no tensor: a number, a size (in terms of the sizes of the inputs) or None."""

    value: int | float | bool | SymExpr | None

    def __str__(self) -> str:
        return str(self.value)


Result: TypeAlias = FromInput | FromOutput | Detached | ViewOfResult | Static


@dataclass(frozen=True)
class Held:
    """Where the elements that a value of the pure graph stands for lie in the original graph: a gradient that reads
    the value is an error once they are overwritten, be it by the graph itself.

    Attributes:
        input: the input in whose memory they lie, if there is one.
        output: the output of the pure graph that becomes the tensor in their memory, if there is one.
        before: how many writes to that memory they have seen.
        writes: how many there are in the graph.
        is_tensor: whether the value is the input or output itself, and no view of it.
    """

    value: Value
    input: int | None
    output: int | None
    before: int
    writes: int
    is_tensor: bool = False

    @property
    def is_overwritten(self) -> bool:
        """Whether a later write of the graph is to the same memory."""
        return self.before != self.writes


@dataclass(frozen=True)
class MutationRecord:
    """How a call of the pure graph stands for a call of the original one.

    Attributes:
        inputs: the number of inputs of the original graph; the pure graph takes them first.
        keys: how many random keys the pure graph takes last, in the order in which they are to be drawn.
        write_backs: new elements of inputs, by input.
        results: where each output of the original graph comes from. Outputs of the original graph that are one value
            share one record object.
        versions: outputs that are new tensors and have been written to, each with the number of writes.
        held: the values of the pure graph in memory that others can write to or the graph itself has overwritten.
        replaced: inputs that are given other memory (`x.data = y`), once, when the call has ended.
        next_key: the output that is the key to be drawn next, where how many are drawn shows only then. The last of the
            keys is the first of them.
        memories: those in which several inputs lie, which the pure graph takes after the inputs.
    """

    inputs: int
    keys: int
    write_backs: tuple[WriteBack, ...]
    results: tuple[Result, ...]
    versions: tuple[tuple[int, int], ...] = ()
    held: tuple[Held, ...] = ()
    replaced: frozenset[int] = frozenset()
    next_key: int | None = None
    memories: tuple[SharedMemory, ...] = ()

    def takes_cotangent(self, outputs: int) -> list[bool]:
        """Which of the outputs of the pure graph get a cotangent if they are differentiable."""
        without = {w.output for w in self.write_backs if w.keeps_history or w.member is not None}
        return [i not in without for i in range(outputs)]

    @property
    def written(self) -> frozenset[int]:
        """Positions of the inputs that are written to."""
        return frozenset(w.input for w in self.write_backs)

    @property
    def viewed(self) -> frozenset[FromInput | FromOutput]:
        """The inputs and outputs of which views are results, or that may be views of one another."""
        places = ((r, memory_of_result(r)) for r in self.results)
        views = [m for r, m in places if not isinstance(m, Static) and (m.chain or isinstance(r, ViewOfResult))]
        shared = (FromInput(m.position) for memory in self.memories for m in memory.members)
        return frozenset([*(replace(m, chain=()) for m in views), *shared])

    @property
    def overwritten(self) -> frozenset[int]:
        """Positions of the inputs of the pure graph that hold other elements after the call."""
        rows = range(self.inputs, self.inputs + len(self.memories))
        return self.written.union(rows, *(m.positions for m in self.memories))

    @property
    def writes(self) -> Mapping[int, int]:
        """How often the version counter of each input goes on, of those where it does."""
        counts = {w.input: w.writes for w in self.write_backs}
        for memory in self.memories:
            total: dict[int, int] = {}
            for member in memory.members:
                total[member.counter] = total.get(member.counter, 0) + counts.get(member.position, 0)
            counts |= {m.position: total[m.counter] for m in memory.members}
        return counts

    def __str__(self) -> str:
        """As comments of IR text, which the graph it belongs to can be followed by."""
        lines = [f"result {n}: {result}" for n, result in enumerate(self.results)]
        lines += map(str, self.write_backs)
        first = self.inputs + len(self.memories)
        for n, memory in enumerate(self.memories, self.inputs):
            which = ", ".join(str(m.position) for m in memory.members)
            lines.append(f"input {n} is the memory in which inputs {which} lie")
        if self.keys:
            last = first + self.keys - 1
            which = f"input {first} is a random key" if first == last else f"inputs {first} to {last} are random keys"
            lines.append(f"{which}, drawn at each call")
        if self.next_key is not None:
            last = first + self.keys - 1
            lines.append(
                f"input {last} is the first of any number of keys, output {self.next_key} the next to be drawn"
            )
        return "\n".join(f"// {line}" for line in lines)


def memory_of_result(result: Result) -> FromInput | FromOutput | Static:
    """The tensor in whose memory a result lies, as the input or output that it is or is a view of."""
    base = result.base if isinstance(result, ViewOfResult) else result
    return base.memory if isinstance(base, Detached) else base


def _viewed(base: str, chain: ViewChain) -> str:
    steps = [f"{op.name}({', '.join(f'{k}={attr_text(v)}' for k, v in attrs.items())})" for op, attrs in chain]
    return f"{' of '.join([*reversed(steps), base])}, a view" if steps else base
