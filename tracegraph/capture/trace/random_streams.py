"""Random generators of this library in a trace: where each is in its stream, and what it is left at.

A draw from the default generator is a node `next_key` of the graph, as long as the trace has not set its state. All
other keys are computed from the state that a generator was found in or set to: constants of the graph where that is
known, else inputs.

    tg.manual_seed(0)                   default_generator.set_state((0, 1))     when the graph has run
    x + tg.rand(3)                -->   %0: i64[2] = fixed_key(seed=0, draw=0)
    x + tg.rand(3, generator=g)         input: key_of(state of g, 0); g is advanced by one draw before the graph runs
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tracegraph import dtypes
from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Item, Reference, Source, constant_source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import STAND_INS, is_constant, is_varying
from tracegraph.ir import Role, TensorType
from tracegraph.ops.graphs.recording import NESTED
from tracegraph.ops.random.generator import (
    Generator,
    State,
    after,
    default_generator,
    get_rng_state,
    initial_seed,
    key_of,
    manual_seed,
    set_rng_state,
)
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.capture.guards.sources import Pool
    from tracegraph.capture.trace.tracer import Tracer


@dataclass(frozen=True, eq=False)
class StreamState:
    """What `get_state()` gives in a trace: `draws` draws after the state found at `source`.

    Attributes:
        example: the state at `source` in the call being traced; in every call if there is no source.
    """

    source: Source | None
    example: State
    draws: int = 0

    @property
    def known(self) -> State | None:
        """The state, if it is the same in every call."""
        return after(self.example, self.draws) if self.source is None else None


def _refuse(state: StreamState, *args: Any) -> NoReturn:
    raise Break(reasons.NATIVE_CALL, "a look into the state of a random generator")


for _name in ("getitem", "len", "iter", "contains", "eq", "ne", "lt", "le", "gt", "ge", "hash", "add", "radd", "mul",
              "rmul", "repr", "str", "format"):  # fmt: skip
    _method: Callable[..., NoReturn] = _refuse
    setattr(StreamState, f"__{_name}__", _method)
STAND_INS[StreamState] = tuple


@dataclass(eq=False)
class Stream:
    """One generator in the trace.

    Attributes:
        state: where it is now.
        found: where later calls find the state it has when the trace begins.
        is_set: whether the trace has set its state.
        is_live: whether the graph draws from it.
        is_vague: whether it shows only when the graph has run how much was drawn.
    """

    generator: Generator
    state: StreamState
    found: Source
    is_set: bool = False
    is_live: bool = False
    is_vague: bool = False


@dataclass(frozen=True)
class _Taken(Source):
    """The state of a generator from outside before a call advances it by what the trace draws."""

    generator: Source
    stream: list[Stream] = field(default_factory=list, compare=False)

    @property
    def parents(self) -> tuple[Source, ...]:
        return (self.generator,)

    @property
    def count(self) -> int:
        """The number of draws; none are taken where the state is set afterwards."""
        (stream,) = self.stream
        return 0 if stream.is_set else stream.state.draws

    def expression(self, parents: list[str], pool: Pool) -> str:
        return f"{parents[0]}.take({self.count})"

    def __str__(self) -> str:
        return f"{self.generator}.get_state()"


class RandomStreams:
    """The generators that one trace draws from or sets."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._streams: dict[int, Stream] = {}
        #: how often keys were drawn, whether by the graph or not
        self.draws = 0

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._streams.values())

    def taken(self) -> list[tuple[Stream, int]]:
        """The generators that a call advances before its graph runs, and by how many draws."""
        found = ((s, s.found.count) for s in self if isinstance(s.found, _Taken))
        return [(stream, count) for stream, count in found if count]

    def stream(self, generator: Generator) -> Stream:
        """The stream of a generator.

        Raises:
            Break: its class is derived from Generator, and may be anything.
        """
        known = self._streams.get(id(generator))
        if known is not None:
            return known
        if type(generator) is not Generator:
            raise Break(reasons.UNSUPPORTED_VALUE, f"a random generator of class {type(generator).__name__}")
        if generator is default_generator:
            found: Source = Computed(Reference(Generator.get_state), (constant_source(generator),))
            return self._add(generator, found, generator.get_state(), is_live=True)
        source = self._tracer.source_of(generator)
        if source is None:
            raise Break(reasons.NATIVE_CALL, "a random generator made in the trace in an unusual way")
        self._tracer.guards.add(GuardKind.DISTINCT, None, (source, constant_source(default_generator)))
        taken = _Taken(source)
        stream = self._add(generator, taken, generator.get_state())
        taken.stream.append(stream)
        return stream

    def begin(self, generator: Generator) -> None:
        """A generator that the trace makes: its seed differs from call to call."""
        found = Computed(Reference(_unforeseen), (constant_source(len(self._streams)),))
        self._add(generator, found, _unforeseen(0))

    def _add(self, generator: Generator, found: Source, example: State, is_live: bool = False) -> Stream:
        stream = Stream(generator, StreamState(found, example), found, is_live=is_live)
        self._streams[id(generator)] = stream
        return stream

    # ------------------------------------------------------------------------------ what programs do

    def set(self, generator: Generator, state: StreamState) -> None:
        """Let `generator` go on from a state."""
        stream = self.stream(generator)
        self._tracer.effects.note_random(generator)
        stream.state, stream.is_set, stream.is_live, stream.is_vague = state, True, False, False

    def seeded(self, seed: Any) -> StreamState:
        """The state that `manual_seed(seed)` sets.

        Raises:
            Observed: it is no seed.
            Break: it is not known what it is.
        """
        if is_varying(seed):
            numbers = self._tracer.numbers
            example = self._tracer.native(_of_seed, numbers.value(seed))
            return StreamState(Computed(Reference(_of_seed), (numbers.source(seed),)), example)
        if not is_constant(seed):
            raise Break(reasons.NATIVE_CALL, f"manual_seed() of an object of type {type(seed).__name__}")
        return StreamState(None, self._tracer.native(_of_seed, seed))

    def given(self, state: Any) -> StreamState:
        """The state that `set_state(state)` sets.

        Raises:
            Observed: it is no state.
            Break: it is not known what it is.
        """
        if type(state) is StreamState:
            return state
        if type(state) in (tuple, list) and len(state) == 2 and any(map(is_varying, state)):
            numbers = self._tracer.numbers
            example = self._tracer.native(_of_numbers, *map(numbers.value, state))
            return StreamState(Computed(Reference(_of_numbers), tuple(map(numbers.source, state))), example)
        if not is_constant(tuple(state) if type(state) is list else state):
            raise Break(reasons.NATIVE_CALL, f"set_state() of an object of type {type(state).__name__}")
        return StreamState(None, self._tracer.native(_checked, state))

    def key(self, generator: Generator, record: Callable[[str, dict[str, Any]], Any]) -> Any:
        """The key of the next draw; `record(name, attributes)` records an operation."""
        stream = self.stream(generator)
        state = stream.state
        stream.state = replace(state, draws=state.draws + 1)
        self.draws += 1
        if stream.is_live:
            return record("next_key", {})
        if generator is not default_generator:
            self._tracer.effects.note_random(generator)
        if state.source is None:
            seed, draw = key_of(state.example, state.draws).tolist()
            return record("fixed_key", {"seed": seed, "draw": draw})
        source = Computed(Reference(key_of), (state.source, constant_source(state.draws)))
        example = key_input(key_of(state.example, state.draws))
        return self._tracer.add_input(source, example, TensorType(dtypes.int64, (2,)), Role.PRIMAL, key_input)

    def note_draws(self) -> None:
        """The graph draws some number of keys from the default generator.

        Raises:
            Break: it goes on from a state that the trace has set; the graph knows its keys by their number only.
        """
        stream = self.stream(default_generator)
        if not stream.is_live:
            raise Break(reasons.CONTROL_FLOW, "random numbers in a branch or loop, after a generator was set")
        stream.is_vague = True
        self.draws += 1


def key_input(key: np.ndarray) -> Tensor:
    """A key as graphs take it."""
    return Tensor(key)


def _of_seed(seed: Any) -> State:
    return Generator.at((0, 0)).manual_seed(seed).get_state()


def _of_numbers(seed: Any, draws: Any) -> State:
    return _checked((seed, draws))


def _checked(state: Any) -> State:
    return Generator.at(state).get_state()


def _unforeseen(number: int) -> State:
    """The state of a new generator, number `number` of those that a call makes."""
    return Generator().get_state()


# ------------------------------------------------------------------------------------------ handlers


def _call_init(tracer: Tracer, generator: Generator, device: Any = "cpu") -> None:
    tracer.native(Generator, device)
    tracer.random.begin(generator)


def _call_manual_seed(tracer: Tracer, generator: Generator, seed: Any) -> Generator:
    tracer.random.set(generator, tracer.random.seeded(seed))
    return generator


def _call_get_state(tracer: Tracer, generator: Generator) -> State | StreamState:
    stream = tracer.random.stream(generator)
    if stream.is_vague or NESTED.stack:
        raise Break(reasons.CONTROL_FLOW, "the state of a generator that a branch or a loop has drawn from")
    state = stream.state
    return state if state.known is None else state.known


def _call_set_state(tracer: Tracer, generator: Generator, state: Any) -> Generator:
    tracer.random.set(generator, tracer.random.given(state))
    return generator


def _call_initial_seed(tracer: Tracer, generator: Generator) -> int:
    state = tracer.random.stream(generator).state
    if state.source is None:
        return state.example[0]
    source = state.source
    if isinstance(source, _Taken):
        # of a guard's own: asking for it advances nothing
        source = Computed(Reference(Generator.get_state), (source.generator,))
    elif source == tracer.random.stream(generator).found and generator is not default_generator:
        raise Break(reasons.NATIVE_CALL, "Generator.initial_seed() of a generator made in the trace")
    seed: int = tracer.read(state.example[0], Item(source, 0))
    return seed


def _of_default(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler of the function that does to the default generator what `handler` does to any."""

    def call(tracer: Tracer, *args: Any, **kwargs: Any) -> Any:
        generator = tracer.read(default_generator, constant_source(default_generator))
        return handler(tracer, generator, *args, **kwargs)

    return call


def _call_set_rng_state(tracer: Tracer, generator: Generator, state: Any) -> None:
    _call_set_state(tracer, generator, state)


#: handlers by function of the library
HANDLERS: dict[Any, Callable[..., Any]] = {
    Generator.__init__: _call_init,
    Generator.manual_seed: _call_manual_seed,
    Generator.get_state: _call_get_state,
    Generator.set_state: _call_set_state,
    Generator.initial_seed: _call_initial_seed,
    manual_seed: _of_default(_call_manual_seed),
    get_rng_state: _of_default(_call_get_state),
    set_rng_state: _of_default(_call_set_rng_state),
    initial_seed: _of_default(_call_initial_seed),
}
