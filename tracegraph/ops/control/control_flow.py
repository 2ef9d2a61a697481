"""What `cond`, `while_loop` and `scan` share: what they are given, the node they record, what functions return.

On eager tensors they are the Python they stand for: one branch is called, the body is called again and again, and
the tape sees what ran. On traced tensors the functions are recorded as graphs, and the call is one node (see
`nested`). Either way results share memory with nothing; a function that returns what it was given returns a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegraph.errors import ArgumentError, ControlFlowError, ShapeError
from tracegraph.ir import Graph, TensorType, Value
from tracegraph.ir import dim as dims
from tracegraph.ir.subgraphs import sizes_of
from tracegraph.ops.control.kind import ControlFlow
from tracegraph.ops.core.arguments import described as described_value
from tracegraph.ops.core.arguments import is_number, is_tensor
from tracegraph.ops.core.canonical import normalize_dim
from tracegraph.ops.core.definition import Handle
from tracegraph.ops.core.dispatch import dispatch
from tracegraph.ops.graphs.batched import BatchedMethods
from tracegraph.ops.graphs.nested import Draws, RecordedBody, closed
from tracegraph.ops.graphs.recording import Recorder, Traced
from tracegraph.ops.graphs.structure import Structure, Tree, described, flatten, static_parts, unflatten

# --------------------------------------------------------------------------------------------- one node


def recorded_bodies(make: Callable[[Draws], dict[str, RecordedBody]]) -> dict[str, RecordedBody]:
    """The bodies of one node as `make` records them: all of them keyed if one draws random numbers."""
    bodies = make(Draws.NOTED)
    return make(Draws.KEYED) if any(body.draws for body in bodies.values()) else bodies


def record_node(
    op: ControlFlow,
    outer: Recorder,
    leading: Sequence[Traced],
    given: Sequence[Traced],
    bodies: dict[str, RecordedBody],
    attrs: dict[str, Any],
    tracked: Sequence[bool],
) -> list[Handle]:
    """Record the node.

    Args:
        leading: operands that the bodies are not given.
        given: operands that they are given, after the key of the next draw if they are keyed.
        tracked: which of the results require grad.

    Returns:
        the results, without the key after the draws.
    """
    graphs, captured = closed(list(bodies.values()))
    is_keyed = bodies[op.bodies[-1]].is_keyed
    if not bodies[op.bodies[-1]].types and not is_keyed:
        return []
    keys = [outer.begin_draws()] if is_keyed else []
    held: dict[str, Graph] = dict(zip(bodies, graphs, strict=True))
    attrs = {**attrs, **held, "sizes": sizes_of(graphs)}
    requiring = frozenset[Value]().union(*(body.requiring for body in bodies.values()))
    every = [*leading, *keys, *given, *(outer.traced(v, v in requiring) for v in captured)]
    if not outer.grad_enabled:
        every = [o.detach() if o.requires_grad else o for o in every]
    packed = dispatch(op, tuple(every), attrs)
    results = list(packed) if isinstance(packed, tuple) else [packed]
    if is_keyed:
        outer.end_draws(keys[0], results.pop(0))
    for result, is_tracked in zip(results, tracked, strict=True):
        result.requires_grad = result.requires_grad and is_tracked
    return results


# --------------------------------------------------------------------------------------------- what is given


def check_callable(op: str, **functions: Any) -> None:
    """Raise ArgumentError for an argument that is no function."""
    for name, function in functions.items():
        if not callable(function):
            raise ArgumentError(f"{op}: argument {name!r} must be callable, got {type(function).__name__}")


def check_sequence(op: str, name: str, value: Any) -> tuple[Tree, ...]:
    """The arguments of a function, which must be given as a tuple or list."""
    if not isinstance(value, list | tuple):
        hint = "; write (x,) for one tensor" if is_tensor(value) else ""
        raise ArgumentError(f"{op}: argument {name!r} must be a tuple or list, got {type(value).__name__}{hint}")
    return tuple(value)


def check_switch(op: str, name: str, value: object) -> None:
    """Refuse what is no bool."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{op}: argument {name!r} must be a bool, got {described_value(value)}")


def check_tensors(op: str, name: str, tree: Tree) -> tuple[list[Handle], Structure]:
    """The tensors of a tree that must hold nothing else, and at least one."""
    leaves, structure = flatten(tree)
    for part in static_parts(structure):
        raise ArgumentError(
            f"{op}: argument {name!r} must hold tensors only, got {part!r} of type {type(part).__name__}; "
            "wrap numbers with tracegraph.tensor(...)"
        )
    if not leaves:
        raise ArgumentError(f"{op}: argument {name!r} holds no tensor")
    return leaves, structure


def condition_of(op: str, name: str, value: Any) -> Any:
    """A bool, or a 0-d bool tensor that is traced, or differs from sample to sample."""
    if not is_tensor(value):
        if not is_number(value) and not isinstance(value, np.bool_ | np.number):
            raise ArgumentError(
                f"{op}: {name} must be a bool, or a tensor of one element, got {described_value(value)}"
            )
        return bool(value)
    if value.ndim and not all(size == 1 for size in value.shape):
        raise ShapeError(f"{op}: {name} must have one element, got {type_of(value)}")
    if not isinstance(value, Traced | BatchedMethods):
        return bool(value)
    condition: Handle = value
    condition = condition.reshape(()) if condition.ndim else condition
    return condition if condition.dtype.is_bool else condition != 0


def with_first(op: str, x: Handle, dim: int) -> Handle:
    """`x` with dimension `dim` as its first."""
    axis = normalize_dim(op, "dim", dim, x.ndim)
    return x.movedim(axis, 0) if axis else x


def common_length(op: str, scanned: Sequence[Handle]) -> Any:
    """The common size along the first dimension."""
    if any(not x.ndim for x in scanned):
        raise ShapeError(f"{op}: xs holds a 0-d tensor, which has no slices")
    length = scanned[0].shape[0]
    if any(x.shape[0] != length for x in scanned):
        raise ShapeError(f"{op}: sizes along the scanned dimension differ: {[x.shape[0] for x in scanned]}")
    if length == 0:
        raise ShapeError(f"{op}: the scanned dimension has size 0, so nothing says what combine_fn returns")
    return length


# --------------------------------------------------------------------------------------------- what is returned


def type_of(handle: Handle) -> TensorType:
    """Dtype and shape of a tensor of any kind."""
    return TensorType(handle.dtype, tuple(handle.shape))


def fitted(tree: Tree, types: Sequence[TensorType]) -> Tree:
    """What a body returns, in the shapes it must have where these differ in how they write a size."""
    leaves, structure = flatten(tree)
    if len(leaves) != len(types):
        return tree
    return unflatten(structure, [_in_shape(leaf, type.shape) for leaf, type in zip(leaves, types, strict=True)])


def _in_shape(leaf: Handle, shape: tuple[dims.Dim, ...]) -> Handle:
    if dims.same_shape(tuple(leaf.shape), shape) or leaf.ndim != len(shape):
        return leaf
    return leaf.reshape(shape) if all(a == b for a, b in zip(leaf.shape, shape, strict=True)) else leaf


def check_carried(
    op: str,
    function: str,
    given: tuple[Structure, Sequence[TensorType]],
    returned: tuple[Structure, Sequence[TensorType]],
) -> None:
    """Raise ControlFlowError unless `function` returned what it was given, by structure and types."""
    if (given[0], list(given[1])) != (returned[0], list(returned[1])):
        raise ControlFlowError(
            f"{op}: {function} must return the carry as it takes it: takes {described(*given)}, "
            f"returns {described(*returned)}"
        )


def fresh(tree: Tree) -> Tree:
    """The tree with copies of its tensors."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [leaf.clone() for leaf in leaves])
