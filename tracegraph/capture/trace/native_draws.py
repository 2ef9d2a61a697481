"""Random numbers of Python and numpy in a trace: each call draws them natively, before its graph runs.

    scale = random.uniform(0.5, 1.5)      d0 = random.uniform(0.5, 1.5)      in the driver, in the order of the program
    return x * scale                -->   graph input: d0, as f64[]

A draw gives a number that varies, or an array like one from outside. The trace itself draws from copies of the
generators. What was drawn cannot be guarded, since guards come before; so what decides by it breaks the graph there.
Facts that hardly differ, as types, are checked after the draws (`GuardSet.late`). If they differ, or the graph fails,
the generators are put back and the call runs eagerly.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.guards.sources import Source, constant_source

if TYPE_CHECKING:
    from tracegraph.capture.guards.sources import Pool
    from tracegraph.capture.trace.tracer import Tracer

#: classes of generators whose state can be put back
GENERATORS: tuple[type, ...] = (random.Random, np.random.RandomState, np.random.Generator)


class Snapshot:
    """A generator's state before a call draws from it, to be put back unless another thread has drawn since."""

    __slots__ = ("_after", "_before", "_generator")

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        self._before = _state_of(generator)
        self._after: Any = None

    def end(self) -> None:
        """The call has drawn what it draws."""
        self._after = _state_of(self._generator)

    def put_back(self) -> None:
        """Let the generator give the same numbers again."""
        if self._after is None or _same(self._after, _state_of(self._generator)):
            _set_state(self._generator, self._before)


def _state_of(generator: Any) -> Any:
    if type(generator) is random.Random:
        return generator.getstate()
    return (
        generator.get_state(legacy=False) if type(generator) is np.random.RandomState else generator.bit_generator.state
    )


def _set_state(generator: Any, state: Any) -> None:
    if type(generator) is random.Random:
        generator.setstate(state)
    elif type(generator) is np.random.RandomState:
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


def _same(a: Any, b: Any) -> bool:
    """Whether two states of one generator, in numpy nested dicts with arrays, are equal."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)


@dataclass(frozen=True)
class Drawn(Source):
    """What a method of a generator gives when the call reaches it; evaluated once, in the driver only."""

    generator: Source
    method: str
    operands: tuple[Source, ...]
    #: what the last operands are called
    names: tuple[str, ...]
    number: int

    @property
    def parents(self) -> tuple[Source, ...]:
        return (self.generator, *self.operands)

    def expression(self, parents: list[str], pool: Pool) -> str:
        generator, *arguments = parents
        split = len(arguments) - len(self.names)
        keywords = (f"{n}={a}" for n, a in zip(self.names, arguments[split:], strict=True))
        return f"{generator}.{self.method}({', '.join([*arguments[:split], *keywords])})"

    def __str__(self) -> str:
        return f"{self.method}() number {self.number}"


class NativeDraws:
    """The draws of one trace."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        #: in order
        self.draws: list[Drawn] = []
        self._copies: dict[int, Any] = {}
        self._sources: dict[int, Source] = {}

    @property
    def generators(self) -> list[Source]:
        """Where later calls find the generators."""
        return list(self._sources.values())

    def draw(self, generator: Any, method: str, args: tuple[Any, ...], operands: tuple[Source, ...],
             kwargs: dict[str, Any]) -> tuple[Any, Drawn]:  # fmt: skip
        """Call a method of a generator from outside: what it gives in this call, and where later ones find it.

        Args:
            operands: where they find the arguments.

        Raises:
            Observed: the method raises.
        """
        found = self._tracer.source_of(generator) or constant_source(generator)
        self._tracer.effects.note_random(generator)
        if id(generator) not in self._copies:
            self._copies[id(generator)] = copy.deepcopy(generator)
            self._sources[id(generator)] = found
        result = self._tracer.native(getattr(self._copies[id(generator)], method), *args, **kwargs)
        drawn = Drawn(found, method, operands, tuple(kwargs), len(self.draws))
        self.draws.append(drawn)
        self._tracer.guards.drawn.add(drawn)
        return result, drawn
