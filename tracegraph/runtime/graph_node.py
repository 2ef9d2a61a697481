"""The tape node of one call of a compiled graph: what it keeps for backward, and what it refuses."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from tracegraph.aot.joint import Arrival, Joint
from tracegraph.aot.reads import Keeps, Read
from tracegraph.aot.record import FromInput, FromOutput
from tracegraph.autograd import is_grad_enabled
from tracegraph.autograd.outside_state import OutsideState
from tracegraph.autograd.tape import Node, edge_to, modified_error
from tracegraph.errors import AutogradError
from tracegraph.ir import bind_sizes
from tracegraph.ir.interpreter import at_sizes
from tracegraph.ir.types import TensorType
from tracegraph.runtime.expansion import Expansion, Formulas
from tracegraph.tensor import Tensor
from tracegraph.tensor.storage import Storage

#: of no results
_NONE: frozenset[int] = frozenset()
#: executes a pure graph on contiguous or strided arrays; its results share memory with nothing
Executable: TypeAlias = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]


#: what must stay as it is until backward: its storage, the storage's counts of writes and of replacements when the call
#: has ended, and the position among the inputs or outputs
_Watched: TypeAlias = tuple[Storage, int, int, int]


@dataclass(frozen=True)
class Differentiation:
    """How the forward and backward graphs fit together.

    The forward graph returns `outputs` tensors and then the values saved for backward; the backward graph takes the
    inputs in `saved_inputs`, the saved values and the cotangents of the `differentiable` outputs, and returns the
    gradients of the inputs in `wanted`, None where there is none.

    Attributes:
        types: types of the inputs, of which those after the tensors are random keys.
        outputs: number of outputs of the pure graph.
        differentiable: positions of outputs with a history.
        wanted: positions of inputs whose gradient is computed.
        sources: for each of them, the numbers of the cotangents that its gradient comes from.
        arrivals: what reaches them, in the order of the tape.
        output_sources: the same of the gradients of the differentiable outputs, as far as these are not their own
            cotangents.
        asks_presence: whether gradients depend on which cotangents there are, in another way than by zeros for others.
        not_from_zeros: the sets of cotangents that formulas are reached by which may make something of zeros.
        meetings: the sets of cotangents of which one operation or another is reached for which elements are kept.
        saved_inputs: positions of inputs that backward takes: a write to one before backward is an error, if gradients
            depend on it.
        input_cotangents: for each input, the numbers of the cotangents whose gradients depend on its elements.
        restore_inputs: positions of further inputs that a derivative of the gradients starts from.
        reads: what eager execution would read in backward in the memory of inputs and of outputs: a write to it before
            backward is an error there, hence here; and what the graph itself overwrites, where backward is an error.
        writes: how often the call writes to each input, for those that it writes to.
        replaced: positions of inputs that are given other memory when the call has ended.
        viewed: the inputs and outputs of which views are results.
        backward: the compiled backward graph.
        formulas: the gradient formulas, for what the backward graph cannot do.
    """

    types: tuple[TensorType, ...]
    outputs: int
    differentiable: tuple[int, ...]
    wanted: tuple[int, ...]
    sources: tuple[frozenset[int], ...]
    arrivals: tuple[Arrival, ...]
    output_sources: tuple[frozenset[int], ...]
    asks_presence: bool
    not_from_zeros: frozenset[frozenset[int]]
    meetings: frozenset[frozenset[int]]
    saved_inputs: tuple[int, ...]
    input_cotangents: tuple[frozenset[int], ...]
    restore_inputs: tuple[int, ...]
    reads: tuple[Read, ...]
    writes: Mapping[int, int]
    replaced: frozenset[int]
    viewed: frozenset[FromInput | FromOutput]
    backward: Executable
    formulas: Formulas

    @cached_property
    def watched_inputs(self) -> tuple[tuple[int, int, int, bool], ...]:
        """Positions of the inputs whose versions matter, the number of writes of the call itself, and of the memories
        that it gives them, and whether backward refuses others.

        Those to the other inputs are refused by derivatives of the gradients only.
        """
        refused = {*self.saved_inputs, *(r.input for r in self.reads if r.input is not None)}
        watched = sorted(refused.union(self.restore_inputs))
        return tuple((p, self.writes.get(p, 0), int(p in self.replaced), p in refused) for p in watched)

    def order(self, present: frozenset[int]) -> Sequence[int]:
        """The numbers of the gradients in the order in which the tape finds them from these cotangents."""
        found = self._orders.get(present)
        if found is None:
            reached = dict.fromkeys(a.gradient for a in self.arrivals if not present.isdisjoint(a.cotangents))
            found = self._orders[present] = [*reached, *(i for i, _ in enumerate(self.wanted) if i not in reached)]
        return found

    @cached_property
    def _orders(self) -> dict[frozenset[int], list[int]]:
        return {}

    @cached_property
    def with_operations(self) -> frozenset[int]:
        """Numbers of the differentiable outputs in whose history there is an operation that elements are kept for."""
        return frozenset[int]().union(*self.meetings)

    def sharing(self, numbers: frozenset[int]) -> frozenset[int]:
        """Numbers of the differentiable outputs whose histories have such an operation in common with `numbers`."""
        return frozenset[int]().union(*(m for m in self.meetings if not m.isdisjoint(numbers)))

    @cached_property
    def live_inputs(self) -> Mapping[int, frozenset[int]]:
        """Positions of the inputs that formulas read as they are in backward; the cotangents that reach these."""
        found: dict[int, frozenset[int]] = {}
        for read in self.reads:
            if read.is_live and read.input is not None:
                found[read.input] = found.get(read.input, _NONE) | read.cotangents
        return found

    @cached_property
    def kept_inputs(self) -> tuple[int, ...]:
        """Positions of the inputs that the tape keeps as tensors: formulas read what they hold in backward."""
        kept = (r.input for r in self.reads if r.is_tensor and r.keeps is Keeps.TENSOR)
        return tuple(sorted({position for position in kept if position is not None}))

    @cached_property
    def is_overwritten(self) -> bool:
        """Whether a gradient formula reads what the graph overwrites."""
        return any(r.is_overwritten for r in self.reads)

    @cached_property
    def read_outputs(self) -> frozenset[int]:
        """Positions of the outputs that must not be written to before backward."""
        return frozenset(r.output for r in self.reads if r.output is not None)

    @cached_property
    def is_symbolic(self) -> bool:
        return not all(t.is_static for t in self.types)


class GraphNode(Node):
    """The tape node of one call of a compiled graph."""

    __slots__ = (
        "_expansion", "_inputs", "_live", "_only_restored", "_outputs", "_reached", "_restore", "_results", "_shapes",
        "_spent", "_tensors", "plan", "rebound", "saved",
    )  # fmt: skip

    def __init__(
        self,
        plan: Differentiation,
        inputs: Sequence[Tensor],
        arrays: Sequence[np.ndarray],
        outputs: Sequence[np.ndarray],
    ) -> None:
        # runs at every call: plain loops and C-level maps, and nothing that could be known beforehand
        super().__init__(tuple(map(edge_to, map(inputs.__getitem__, plan.wanted))), len(plan.differentiable))
        self.plan = plan
        self._expansion: weakref.ref[Expansion] | None = None
        self.saved: tuple[np.ndarray, ...] | None = (
            *map(arrays.__getitem__, plan.saved_inputs),
            *outputs[plan.outputs :],
        )
        #: inputs that only derivatives of the gradients need
        self._restore = tuple(map(arrays.__getitem__, plan.restore_inputs))
        #: what must not be written to before backward, and before derivatives of the gradients
        self._inputs: list[_Watched] = []
        self._only_restored: list[_Watched] = []
        self._outputs: list[_Watched] = []
        for position, writes, replacements, is_refused in plan.watched_inputs:
            if position < len(inputs):  # random keys come after the tensors, and nobody writes to them
                tensor = inputs[position]
                storage = tensor._storage or tensor.storage
                watched = storage, storage.version + writes, storage.replacements + replacements, position
                (self._inputs if is_refused else self._only_restored).append(watched)
        #: those of `plan.kept_inputs`; whoever gives them other memory has them
        self._tensors = tuple([weakref.ref(inputs[p]) for p in plan.kept_inputs if p < len(inputs)])
        #: inputs that are read as they are in backward
        self._live = [(p, inputs[p]) for p in plan.live_inputs] if plan.live_inputs else []
        #: the tensors that were read in the places of inputs in the last pass: others, or the same in other memory
        self.rebound: dict[int, Tensor] = {}
        self._shapes = [t._np.shape for t in inputs] if plan.is_symbolic else None
        #: numbers of the results that the last backward pass came from, and of those that no pass may come from again
        self._reached: frozenset[int] = _NONE
        self._spent: frozenset[int] = _NONE
        #: of a single result nothing has to be known: without its cotangent there is no backward pass
        self._results: list[tuple[tuple[int, ...], np.dtype]] = []
        if len(plan.differentiable) > 1:
            self._results = [(outputs[i].shape, outputs[i].dtype) for i in plan.differentiable]

    @property
    def name(self) -> str:
        return "CompiledGraphBackward"

    @property
    def is_released(self) -> bool:
        return self.saved is None

    def adopt(self, tensor: Tensor, index: int) -> None:
        """Make `tensor`, which is floating, result `index` of this node."""
        tensor._requires_grad = True
        tensor._grad_fn = self
        tensor._grad_index = index

    def watch_output(self, tensor: Tensor, output: int) -> None:
        """From now on, take notice of writes to `tensor`, which holds an output that backward reads in eager."""
        storage = tensor._storage or tensor.storage
        self._outputs.append((storage, storage.version, storage.replacements, output))

    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        reads_anew = self._check(cotangents)
        if reads_anew or is_grad_enabled():
            return self._by_formulas(cotangents)
        given = [np.zeros(*self._results[i]) if c is None else c._np for i, c in enumerate(cotangents)]
        assert self.saved is not None
        found = self.plan.backward([*self.saved, *given])
        gradients: list[Tensor | None] = [None if g is None else Tensor(np.asarray(g)) for g in found]
        for cotangent in cotangents:
            if cotangent is None:
                return self._partial(gradients, cotangents)
        return gradients

    def _check(self, cotangents: Sequence[Tensor | None]) -> bool:
        """Refuse what cannot be undone any more; whether something is to be read that was written to.

        Raises:
            AutogradError: the saved values were freed or written to.
        """
        self._reached = frozenset([i for i, c in enumerate(cotangents) if c is not None])
        if self.is_released or not self._spent.isdisjoint(self._reached):
            raise AutogradError(
                "backward through a compiled graph a second time, after its saved values were freed; pass "
                "retain_graph=True to the first backward()"
            )
        return self.check_versions(cotangents)

    @property
    def is_divided(self) -> bool:
        # what is no linear map of a gradient gives something else for its parts
        return bool(self.plan.not_from_zeros) and self._living_expansion() is not None

    def connects(self, cotangents: Sequence[Tensor | None], results: Collection[int]) -> bool:
        present = {i for i, c in enumerate(cotangents) if c is not None}
        is_connected = any(present & self.plan.output_sources[i] for i in results)
        return is_connected or self._living_expansion() is not None

    @property
    def order(self) -> Sequence[int] | None:
        is_whole = len(self._reached) == len(self.plan.differentiable)  # of that it is the order of the edges
        return None if is_whole else self.plan.order(self._reached)

    def stand_in(self, cotangents: Sequence[Tensor | None]) -> Node:
        self._check(cotangents)
        return self._expanded(cotangents)

    def _partial(
        self, gradients: Sequence[Tensor | None], cotangents: tuple[Tensor | None, ...]
    ) -> Sequence[Tensor | None]:
        """What eager execution gives where some outputs have no cotangent, and compiled code took zeros for it."""
        present = {i for i, c in enumerate(cotangents) if c is not None}
        if self.plan.asks_presence or any(map(present.isdisjoint, self.plan.not_from_zeros)):
            return self._by_formulas(cotangents)
        # nan may be zero times the infinite slope of an unused output
        if not all(np.isfinite(g._np).all() for g in gradients if g is not None):
            return self._by_formulas(cotangents)
        return [g if present & s else None for g, s in zip(gradients, self.plan.sources, strict=True)]

    def _by_formulas(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        """The gradients op by op; recorded in grad mode."""
        expansion = self._expanded(cotangents)
        return expansion.backward((*cotangents, *[None] * (expansion.results - self.results)))

    def _expanded(self, cotangents: Sequence[object]) -> Expansion:
        """The one expansion of this call, to which the gradients of all derivatives that are taken of it go."""
        expansion = self._living_expansion()
        if expansion is None:
            self._refuse_writes(cotangents, self.plan.restore_inputs)
            assert self.saved is not None
            expansion = Expansion(self.plan.formulas, self, [*self.saved, *self._restore], self._sizes())
            self._expansion = weakref.ref(expansion)
        return expansion

    def _living_expansion(self) -> Expansion | None:
        expansion = self._expansion() if self._expansion is not None else None
        return None if expansion is None or expansion.is_released else expansion

    def input_storages(self) -> Mapping[int, Storage]:
        """Storages of the inputs that are kept, by position."""
        return {i: s for s, _, _, i in (*self._inputs, *self._only_restored)}

    def changed_inputs(self) -> frozenset[int]:
        """Positions of inputs that were written to since, as far as kept values are restored from them."""
        sources = {*self.plan.saved_inputs, *self.plan.restore_inputs}
        watched = (*self._inputs, *self._only_restored)
        return frozenset([i for s, version, _, i in watched if s.version != version and i in sources])

    def release(self) -> None:
        # to the tape results without a common history are apart: a pass from one leaves the others theirs
        if len(self.plan.differentiable) > 1:
            self._spent |= self.plan.sharing(self._reached)
            if not self._spent >= self.plan.with_operations:
                return
        if not self.plan.meetings:
            return  # what keeps no elements can be gone through again
        self.saved = None
        self._restore = ()
        self._live = []
        if self._living_expansion() is None:
            self.forget()

    def forget(self) -> None:
        """Watch for writes no more: what does holds the memory that it watches."""
        self._inputs, self._only_restored, self._outputs, self._tensors = [], [], [], ()

    def _sizes(self) -> Mapping[str, int]:
        return bind_sizes(self.plan.types[: len(self._shapes)], self._shapes) if self._shapes is not None else {}

    # ------------------------------------------------------------------------------------ writes

    def check_versions(self, cotangents: Sequence[object], restored: Collection[int] = ()) -> bool:
        """Refuse to go on if something was written to that these cotangents' gradients need.

        Args:
            cotangents: of the outputs, and perhaps of the kept values.
            restored: positions of further inputs that values are computed from.

        Returns:
            Whether something was written to that they read as it is now.

        Raises:
            AutogradError: that of eager execution; for an input that only compiled code keeps, one of its own.
        """
        self.rebound = self._rebound_outside(cotangents) if self._live else {}
        if self.rebound or self.plan.is_overwritten or restored:
            return self._refuse_writes(cotangents, restored)
        for watched in (self._inputs, self._outputs):
            for storage, version, replacements, _ in watched:
                if storage.version != version or storage.replacements != replacements:
                    return self._refuse_writes(cotangents, restored)
        return False

    def _rebound_outside(self, cotangents: Sequence[object]) -> dict[int, Tensor]:
        """The tensors that are in the places of others that are read as they are in backward.

        Raises:
            AutogradError: something else that a formula reads is not what it was.
        """
        present = frozenset([i for i, c in enumerate(cotangents) if c is not None])
        found: dict[int, Tensor] = {}
        for position, tensor in self._live:
            is_reached = max(present) >= self.results or not present.isdisjoint(self.plan.live_inputs[position])
            if isinstance(tensor, OutsideState) and is_reached:
                found.update(tensor.rebound())
        return {p: found[id(t)].detach() for p, t in self._live if id(t) in found}

    def _refuse_writes(self, cotangents: Sequence[object], restored: Collection[int]) -> bool:
        inputs: dict[int | None, _Watched] = {w[-1]: w for w in (*self._inputs, *self._only_restored)}
        outputs: dict[int | None, _Watched] = {w[-1]: w for w in self._outputs}
        account: Differentiation | Joint = self.plan
        present = frozenset([i for i, c in enumerate(cotangents) if c is not None])
        if any(i >= self.results for i in present):  # those of kept values
            account = self.plan.formulas.with_kept
            present = frozenset([n for n, i in enumerate(self.plan.formulas.cotangents) if i in present])
        reads_anew = False
        for read in account.reads:
            place = inputs.get(read.input) if read.input is not None else outputs.get(read.output)
            after, now = (place[1], place[0].version) if place else (read.writes, read.writes)  # the graph's own memory
            version = after - read.writes + read.before
            if present.isdisjoint(read.cotangents):
                continue
            if version != now:
                if not read.is_live:
                    raise modified_error(read.what, read.op, self._shape(read), version, now)
                reads_anew = True
            if place and place[0].replacements != place[2]:
                self._read_in_other_memory(read)
        for position in (*self.plan.saved_inputs, *restored):
            if position in inputs and not present.isdisjoint(account.input_cotangents[position]):
                storage, version, _, _ = inputs[position]
                if storage.version != version:
                    raise _input_error(position, version, storage.version)
        return reads_anew or bool(self.rebound)

    def _read_in_other_memory(self, read: Read) -> None:
        """Let what `read` is of be read as it is now; tensors in its place have been given other memory.

        Raises:
            AutogradError: that cannot be done.
        """
        if read.keeps is Keeps.ELEMENTS:
            return
        place = FromOutput(read.output) if read.output is not None else FromInput(read.input)  # type: ignore[arg-type]
        if not read.is_tensor and place not in self.plan.viewed:
            return  # a view that nobody has: it stays where it was
        tensor = None
        if read.is_tensor and read.keeps is Keeps.TENSOR and read.input is not None:
            tensor = self.tensor_read(read.input)
        if tensor is None or tensor._np.shape != self._shape(read) or tensor.dtype is not read.type.dtype:
            raise AutogradError(
                f"{read.what} of {read.op}, of shape {list(self._shape(read))}, was given other memory "
                "(tensor.data = other) between a compiled call and backward, where compiled code cannot read it; "
                "assign to it after backward(), or keep a clone() for the gradient"
            )
        assert read.input is not None
        self.rebound[read.input] = tensor

    def tensor_read(self, position: int) -> Tensor | None:
        """The tensor that formulas read in the place of the input: that which was given, if it is there and the tape
        keeps it, or that which is in its place by now.
        """
        if position in self.rebound:
            return self.rebound[position]
        refs = {p: ref for p, ref in zip(self.plan.kept_inputs, self._tensors, strict=False) if p == position}
        return refs[position]() if position in refs else None

    def _shape(self, read: Read) -> tuple[int, ...]:
        return at_sizes(read.type.shape, self._sizes())  # type: ignore[return-value]


def _input_error(position: int, version: int, now: int) -> AutogradError:
    return AutogradError(
        f"input {position} of a compiled graph was modified by an in-place operation between forward and backward "
        f"(version {version}, now {now}); write out of place or clone() it first"
    )
