"""What the branch of an eager `cond` that is not taken would have read: its gradients are zeros, as those of a graph.

The branch is captured, never run, so nothing that it does is seen. It adds nothing if it cannot be captured whole: it
breaks the graph, or raises for these operands. What only it reads has no gradient then; and none from there on if that
happens again and again, since nothing tells whether a call would fare better, and every attempt takes time.
"""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracegraph.capture.drivers.result import CaptureResult
from tracegraph.capture.drivers.units import entry
from tracegraph.capture.guards import eager
from tracegraph.capture.guards.checker import Checker
from tracegraph.capture.guards.evaluation import compile_reader
from tracegraph.capture.reporting.user_frame import warn_user
from tracegraph.capture.session import Call, RunEagerly, capture
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.trace.dynamism import Dynamism
from tracegraph.capture.trace.tracing_state import is_tracing
from tracegraph.nn.module import Module
from tracegraph.ops.control.untaken import inputs_of, joined
from tracegraph.ops.graphs.structure import Tree, flatten, unflatten
from tracegraph.tensor import Tensor

#: branches that are remembered; of each the captures, and the attempts that may end without one
_BRANCHES_KEPT, _CAPTURES_KEPT, _ATTEMPTS = 64, 8, 4


@dataclass(frozen=True)
class _Reads:
    """One capture of a branch.

    Attributes:
        checker: of whether it is that of a call.
        read: the inputs of the graph.
        inputs: for each result, the positions of those that it is computed from.
    """

    checker: Checker
    read: Callable[[Sequence[Any], tuple[Any, ...]], tuple[Any, ...]]
    inputs: tuple[tuple[int, ...], ...]

    def tensors(self, args: Sequence[Any]) -> list[list[Tensor]]:
        """For every result, the tensors that it is computed from."""
        values = self.read(args, ())
        # a number that varies is an input of the graph too
        return [[values[i] for i in inputs if isinstance(values[i], Tensor)] for inputs in self.inputs]


@dataclass
class _Branch:
    """What is known of the branches that run the same code, newest first.

    Attributes:
        told_by: what `_code_of` says of them.
        attempts: those left; one that does not reach the end has no guards on what ended it.
    """

    told_by: weakref.ref[Any]
    dynamism: Dynamism = field(default_factory=Dynamism)
    known: tuple[_Reads, ...] = ()
    attempts: int = _ATTEMPTS


#: by the id of what tells them; the oldest goes first
_BRANCHES: dict[int, _Branch] = {}


def _branch_of(function: Any) -> _Branch:
    key = _code_of(function)
    found = _BRANCHES.get(id(key))
    if found is None or found.told_by() is not key:
        for oldest in list(_BRANCHES)[: max(0, len(_BRANCHES) - _BRANCHES_KEPT + 1)]:
            _BRANCHES.pop(oldest, None)
        found = _BRANCHES[id(key)] = _Branch(weakref.ref(key))
    return found


def _code_of(function: Any) -> Any:
    """What tells one branch from another however often it is made: its code, or the class of what has none."""
    if isinstance(function, functools.partial):
        return _code_of(function.func)
    if isinstance(function, types.MethodType):
        return _code_of(function.__func__)
    if isinstance(function, types.FunctionType):
        return function.__code__
    method = class_lookup(type(function), "forward" if isinstance(function, Module) else "__call__")
    return method.__code__ if isinstance(method, types.FunctionType) else type(function)


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
    branch = _branch_of(function)
    args = (function, tuple(operands))
    found = next((reads for reads in branch.known if reads.checker.holds(args, ())), None)
    if found is None and branch.attempts > 0:
        found = _captured(branch, args)
    return found.tensors(args) if found is not None else []


def _captured(branch: _Branch, args: tuple[Any, ...]) -> _Reads | None:
    """What a capture of the branch says, remembered; None if there is none that reaches the end."""
    made = None
    try:
        unit = entry(_results)  # type: ignore[arg-type]
        result = capture(Call(unit, _results.__globals__, args, ()), branch.dynamism)
        made = _reads(result) if result.stop is None else None
    except RunEagerly:
        pass
    except Exception as e:
        branch.attempts = 0
        warn_user(
            f"tracegraph: what only the other branch of a cond reads gets no gradient: looking at that branch failed "
            f"with {type(e).__name__}: {e}. Please report this"
        )
        return None
    if made is None:
        branch.attempts -= 1
        return None
    branch.attempts = _ATTEMPTS
    branch.known = (made, *branch.known[: _CAPTURES_KEPT - 1])
    return made


def _reads(result: CaptureResult) -> _Reads:
    graph = result.graph
    inputs = () if graph is None else tuple(tuple(inputs_of(o, graph)) for o in graph.outputs)
    return _Reads(Checker(result.all_guards()), compile_reader(result.input_sources), inputs)
