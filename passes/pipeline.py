"""The optimise stage: one literal list of passes, in an order that says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from tracegraph.ir import Graph
from tracegraph.passes.canonicalise import canonicalise
from tracegraph.passes.constant_fold import constant_fold
from tracegraph.passes.cse import cse
from tracegraph.passes.dce import dce
from tracegraph.passes.decompose import decompose
from tracegraph.passes.fold_views import fold_views
from tracegraph.passes.matmul_fusion import matmul_fusion
from tracegraph.passes.pass_manager import Pass, PassRun, run_passes
from tracegraph.passes.simplify import simplify


class Settings(Protocol):
    """What the passes may be told; the options of `compile` provide it."""

    @property
    def fastmath(self) -> bool: ...
    @property
    def verify(self) -> bool: ...
    @property
    def fold_size_limit(self) -> int: ...


@dataclass(frozen=True)
class DefaultSettings:
    """Settings for those who have no options."""

    fastmath: bool = False
    verify: bool = False
    fold_size_limit: int = 4096


def simplifying_passes(settings: Settings) -> list[Pass]:
    """The passes that replace a call by a simpler one that depends on nothing else, in order."""
    return [
        decompose,  # first: the other passes see through simple ops only
        partial(constant_fold, size_limit=settings.fold_size_limit),  # makes the numbers that rules look for
        canonicalise,  # before what compares calls
        fold_views,  # lets rules and cse see the same operand behind different chains of views
        partial(simplify, fastmath=settings.fastmath),
        cse,  # after the passes that make calls alike
        dce,  # last: what the others left without use
    ]


def optimising_passes(settings: Settings) -> list[Pass]:
    """The passes of the optimise stage, in order."""
    return [
        *simplifying_passes(settings),
        matmul_fusion,  # after cse, which shows common factors; not on joint graphs: it ties products together
        fold_views,  # slices of slices
        dce,
    ]


def optimise(graph: Graph, settings: Settings | None = None, sink: Callable[[PassRun], None] | None = None) -> Graph:
    """Run the optimise stage on a pure graph.

    Raises:
        CompileError: a pass failed.
    """
    chosen = settings or DefaultSettings()
    return run_passes(graph, optimising_passes(chosen), check=chosen.verify, sink=sink)


def optimise_joint(
    graph: Graph, settings: Settings | None = None, sink: Callable[[PassRun], None] | None = None
) -> Graph:
    """Run on a joint graph, before the cut, the passes that make no forward node depend on a cotangent.

    Composites become visible to the cut, and forward and backward share what they have in common.

    Raises:
        CompileError: a pass failed.
    """
    chosen = settings or DefaultSettings()
    return run_passes(graph, simplifying_passes(chosen), check=chosen.verify, sink=sink)
