"""The registry of passes, and the runner that adds what a pass does not do itself.

A pass is a function `Graph -> Graph` under `@graph_pass`; its name is the function's, its documentation the
docstring. It takes a pure graph and leaves it as it is, keeps the inputs and outputs in place, and returns a valid
graph: its argument where there was nothing to do. Settings are keyword arguments with defaults. Calling it does the
same to the graphs that the graph's nodes hold (branches, loop bodies), these first.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, TypeAlias, TypeVar, cast

from tracegraph.errors import CompileError, IRError, TracegraphError
from tracegraph.ir import Graph, verify
from tracegraph.ir.subgraphs import with_subgraphs

Pass: TypeAlias = Callable[[Graph], Graph]
P = TypeVar("P", bound=Callable[..., Graph])

#: every pass by name
PASSES: dict[str, Callable[..., Graph]] = {}


@dataclass(frozen=True)
class PassRun:
    """What one pass did: `after is before` where it had nothing to do."""

    name: str
    before: Graph
    after: Graph
    seconds: float


def graph_pass(function: P) -> P:
    """Register a pass under its function's name, and let it descend into subgraphs.

    Raises:
        IRError: the name is taken, or there is no docstring.
    """
    name = function.__name__
    if name in PASSES:
        raise IRError(f"a pass called {name!r} is registered already")
    if not function.__doc__:
        raise IRError(f"pass {name} has no docstring; say what it does, with IR text before --> after")

    @wraps(function)
    def descending(graph: Graph, *args: Any, **settings: Any) -> Graph:
        inner = with_subgraphs(graph, lambda body: descending(body, *args, **settings))
        return function(inner, *args, **settings)

    PASSES[name] = descending
    return cast(P, descending)


def find_pass(name: str) -> Pass:
    """The pass called `name`, with its settings at their defaults.

    Raises:
        IRError: there is none; the nearest names are suggested.
    """
    if name not in PASSES:
        near = difflib.get_close_matches(name, PASSES, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else f"passes are {', '.join(sorted(PASSES))}"
        raise IRError(f"unknown pass {name!r}; {hint}")
    return PASSES[name]


def summary(name: str) -> str:
    """First sentence of a pass's docstring."""
    return " ".join((PASSES[name].__doc__ or "").split("\n\n")[0].split())


def name_of(function: Pass) -> str:
    """The name of a pass, also of one with settings bound to it."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", repr(function))


def run_passes(
    graph: Graph, passes: Iterable[Pass], *, check: bool = False, sink: Callable[[PassRun], None] | None = None
) -> Graph:
    """Run `passes` in order.

    Args:
        check: verify the graph after every pass that changed it.
        sink: told of every run, for dumps and timing.

    Raises:
        CompileError: the graph has effects; or a pass failed or left an invalid graph: names the pass and the graph.
    """
    effects = [node for node in graph.nodes if not node.is_pure]
    if effects:
        raise CompileError(f"passes take pure graphs, {graph.name} has effects; functionalise it first: {effects[0]!r}")
    for function in passes:
        name, start = name_of(function), time.perf_counter()
        try:
            after = function(graph)
            if check and after is not graph:
                verify(after)
        except TracegraphError as e:
            raise CompileError(f"pass {name} failed on graph {graph.name}: {e}") from e
        if sink is not None:
            sink(PassRun(name, graph, after, time.perf_counter() - start))
        graph = after
    return graph
