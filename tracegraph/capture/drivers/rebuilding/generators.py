"""Random generators that the trace made, and states of generators."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.trace.native_draws import GENERATORS
from tracegraph.capture.trace.random_streams import StreamState
from tracegraph.ops.random.generator import Generator, after

if TYPE_CHECKING:
    from tracegraph.capture.drivers.rebuilding.reconstructor import Reconstructor


def _state(reconstructor: Reconstructor, value: StreamState) -> str:
    if value.source is None:
        return repr(value.known)
    state = reconstructor.writer.name(value.source)
    return f"{reconstructor.pool.name(after)}({state}, {value.draws})" if value.draws else state


def _generator(reconstructor: Reconstructor, value: Generator) -> str:
    state = _state(reconstructor, reconstructor.tracer.random.stream(value).state)
    return reconstructor.assign(value, f"{reconstructor.pool.name(Generator)}.at({state})")


def _native_generator(reconstructor: Reconstructor, value: Any) -> str:
    """One of Python's or numpy's: a copy for every call."""
    return reconstructor.assign(value, f"{reconstructor.pool.name(copy.deepcopy)}({reconstructor.pool.name(value)})")


BUILDERS: dict[type, Callable[[Reconstructor, Any], str]] = {
    StreamState: _state,
    Generator: _generator,
    **dict.fromkeys(GENERATORS, _native_generator),
}
