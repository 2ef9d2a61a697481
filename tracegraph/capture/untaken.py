"""What the branch of an eager `cond` that is not taken would have read: its gradients are zeros, as those of a graph.

The branch is captured, never run, so nothing that it does is seen. One that cannot be captured whole adds nothing.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tracegraph.capture.drivers.result import CaptureResult
from tracegraph.capture.drivers.units import entry
from tracegraph.capture.guards import eager
from tracegraph.capture.guards.checker import Check, compile_guards, evaluate
from tracegraph.capture.guards.guard import Guard, GuardKind
from tracegraph.capture.guards.sources import Source
from tracegraph.capture.session import Call, RunEagerly, capture
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.trace.dynamism import Dynamism
from tracegraph.capture.trace.tracing_state import is_tracing
from tracegraph.ops.pytree import Tree, flatten, unflatten
from tracegraph.ops.untaken import inputs_of, joined
from tracegraph.tensor import Tensor

#: captures of one branch that are kept, and branches
_KEPT, _KEPT_CODES = 8, 64


@dataclass(frozen=True)
class _Reads:
    """One capture of a branch.

    Attributes:
        check: gives None if it holds for a call.
        sources: of each result, where the inputs are that it is computed from; None if that is not known.
    """

    check: Check
    sources: tuple[tuple[Source, ...], ...] | None


class _Branch:
    """What is known of the branches that share a code object."""

    def __init__(self) -> None:
        self.dynamism = Dynamism()
        self.known: list[_Reads] = []


#: by the id of the code, which the value keeps; the oldest goes first
_BRANCHES: dict[int, tuple[types.CodeType, _Branch]] = {}


def _branch_of(code: types.CodeType) -> _Branch:
    if id(code) not in _BRANCHES:
        while len(_BRANCHES) >= _KEPT_CODES:
            _BRANCHES.pop(next(iter(_BRANCHES)), None)
        _BRANCHES[id(code)] = code, _Branch()
    return _BRANCHES[id(code)][1]


def joined_to(result: Tree, untaken: Callable[..., Tree], operands: Sequence[Tree]) -> Tree:
    """`result`, whose tensors get a history that leads to what those of `untaken(*operands)` depend on, with zeros."""
    if not eager.is_grad_enabled() or is_tracing():
        return result
    leaves, structure = flatten(result)
    read = _tensors_read(untaken, operands)
    if len(read) != len(leaves):
        return result
    return unflatten(structure, [joined(leaf, tensors) for leaf, tensors in zip(leaves, read, strict=True)])


def _results(function: Callable[..., Tree], operands: Sequence[Tree]) -> tuple[Any, ...]:
    """The tensors that a branch returns, in the order of `flatten`, each a result of the graph."""
    found, todo = [], [function(*operands)]
    while todo:
        part = todo.pop()
        if isinstance(part, Tensor):
            found.append(part.clone())
        elif isinstance(part, list | tuple | dict):
            todo.extend(reversed(list(part.values() if isinstance(part, dict) else part)))
    return tuple(found)


def _tensors_read(function: Callable[..., Tree], operands: Sequence[Tree]) -> list[list[Tensor]]:
    """For every result, the tensors that it is computed from; empty if that is not known."""
    code = getattr(function, "__code__", None) or getattr(class_lookup(type(function), "forward"), "__code__", None)
    branch = _branch_of(code) if code is not None else _Branch()
    args = (function, tuple(operands))
    found = next((r for r in branch.known if r.check(args, ()) is None), None)
    if found is None:
        found = _captured(branch, args)
        branch.known = [found, *branch.known[: _KEPT - 1]]
    if found.sources is None:
        return []
    # a number that varies is an input of the graph too
    inputs = [[evaluate(source, args, ()) for source in sources] for sources in found.sources]
    return [[value for value in values if isinstance(value, Tensor)] for values in inputs]


def _captured(branch: _Branch, args: tuple[Any, ...]) -> _Reads:
    try:
        unit = entry(_results)  # type: ignore[arg-type]
        result = capture(Call(unit, _results.__globals__, args, ()), branch.dynamism)
    except (RunEagerly, Exception):
        return _Reads(lambda args, cells: 0, None)
    sizes = (Guard(GuardKind.SIZES, None, c, c.location) for c in result.sizes.conditions())
    return _Reads(compile_guards((*result.guards, *sizes)), None if result.stop is not None else _sources(result))


def _sources(result: CaptureResult) -> tuple[tuple[Source, ...], ...]:
    if result.graph is None:
        return ()
    where = result.input_sources
    return tuple(tuple(where[i] for i in inputs_of(o, result.graph)) for o in result.graph.outputs)
