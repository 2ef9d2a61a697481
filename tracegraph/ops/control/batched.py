"""Control flow inside of `vmap`.

A branch or loop that is the same for all samples stays one, of batched bodies. Where the condition differs from sample
to sample, both branches are computed and each sample takes its own, and a loop runs as long as a sample has not ended,
those that have being left as they are:

    cond(p, f, g, (x,))                     where(p, f(x), g(x))
    while_loop(more, step, (x,))       -->  while any(more(x)): x = where(more(x), step(x), x)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tracegraph.errors import ControlFlowError
from tracegraph.ir import Graph, TensorType
from tracegraph.ops import functional as F
from tracegraph.ops.control.body_runners import HandleRunner
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Handle
from tracegraph.ops.graphs.batched import BatchedMethods, BatchedValue, Level
from tracegraph.ops.graphs.structure import Tree, described, flatten, unflatten
from tracegraph.ops.kinds.batching import Batch


def varies(condition: Any) -> bool:
    """Whether a condition differs from sample to sample."""
    return isinstance(condition, BatchedMethods)


def chosen(condition: Handle, true: Tree, false: Tree) -> Tree:
    """Of each sample the results of its own branch.

    Raises:
        ControlFlowError: the branches return different structures, shapes or dtypes.
    """
    (a, structure), (b, other) = flatten(true), flatten(false)
    types = [[TensorType(t.dtype, tuple(t.shape)) for t in leaves] for leaves in (a, b)]
    if structure != other or types[0] != types[1]:
        raise ControlFlowError(
            f"cond: the branches must return alike: true_fn gives {described(structure, types[0])}, false_fn gives "
            f"{described(other, types[1])}"
        )
    return unflatten(structure, [F.where(condition, x, y) for x, y in zip(a, b, strict=True)])


def any_sample(condition: Handle) -> bool:
    """Whether a condition holds for a sample, of all levels."""
    while isinstance(condition, BatchedMethods):
        condition = condition.inner
    return bool(condition.any())


# ------------------------------------------------------------------------------------------ in a graph


class BatchedBodies:
    """The graphs of one node, as functions of the tensors of all samples."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._runner = HandleRunner(batch.attrs, next(o for o in batch.operands if is_tensor(o)))

    def run(self, body: str, inputs: Sequence[Handle], varies: Sequence[bool]) -> tuple[Level, Sequence[Any]]:
        """The results of one graph, some of them batched, and their level."""
        level = Level(self.batch.size, "error", BatchedValue)
        with level:
            given = [level.wrap(x) if v else x for x, v in zip(inputs, varies, strict=True)]
            return level, self._runner.module(body).run(given, self._runner.sizes)

    def spread(self, body: str, inputs: Sequence[Handle], varies: Sequence[bool]) -> list[Handle]:
        """The results of one graph for all samples."""
        level, results = self.run(body, inputs, varies)
        with level:
            return [level.spread(r) for r in results]


def batched_cond(batch: Batch, again: Callable[..., Any]) -> Any:
    """The results of a `cond` node; `again` is the op as users call it."""
    bodies = BatchedBodies(batch)
    pred, *given = batch.operands
    differs, *flags = batch.varies

    def branch(name: str) -> Callable[..., Any]:
        return lambda *xs: tuple(bodies.spread(name, xs, flags))

    if not differs:
        return again(pred, branch("true_graph"), branch("false_graph"), tuple(given))
    results = (branch(name)(*given) for name in ("true_graph", "false_graph"))
    level = Level(batch.size, "error", BatchedValue)
    with level:
        condition = level.wrap(pred)
        found = [level.spread(F.where(condition, level.wrap(a), level.wrap(b))) for a, b in zip(*results, strict=True)]
    return tuple(found) if len(found) != 1 else found[0]


def batched_scan(batch: Batch, again: Callable[..., Any]) -> Any:
    """The results of a `scan` node, whose carry is one of each sample."""
    bodies = BatchedBodies(batch)
    carried, end = batch.attrs["carried"], batch.attrs["carried"] + batch.attrs["scanned"]
    init = tuple(batch.spread(i) for i in range(carried))
    xs = tuple(batch.operands[i].movedim(1, 0) if batch.varies[i] else batch.operands[i] for i in range(carried, end))
    flags = (True,) * carried + batch.varies[carried:]

    def combine(state: Sequence[Handle], x: Sequence[Handle]) -> Any:
        found = bodies.spread("body", (*state, *x, *batch.operands[end:]), flags)
        return tuple(found[:carried]), tuple(found[carried:])

    state, ys = again(combine, init, xs, 0, batch.attrs["reverse"])
    results = (*state, *(y.movedim(0, 1) for y in ys))
    return results if len(results) != 1 else results[0]


def batched_while_loop(batch: Batch, again: Callable[..., Any]) -> Any:
    """The results of a `while_loop` node, whose carry is one of each sample."""
    bodies = BatchedBodies(batch)
    count = batch.attrs["carried"]
    constants, flags = batch.operands[count:], (True,) * count + batch.varies[count:]

    def more(*carried: Handle) -> Handle:
        level, (condition,) = bodies.run("cond_graph", (*carried, *constants), flags)
        return condition.inner.any() if level.varies(condition) else condition

    def step(*carried: Handle) -> Any:
        level, (condition,) = bodies.run("cond_graph", (*carried, *constants), flags)
        new = bodies.spread("body_graph", (*carried, *constants), flags)
        if not level.varies(condition):
            return tuple(new)
        with level:
            pairs = zip(new, carried, strict=True)
            return tuple([level.spread(F.where(condition, level.wrap(a), level.wrap(b))) for a, b in pairs])

    results = again(more, step, tuple(batch.spread(i) for i in range(count)))
    return results if len(results) != 1 else results[0]


def batched_arguments(
    batch: Batch, graphs: Mapping[str, Graph], name_of: Callable[[Sequence[int], int], str]
) -> tuple[Any, ...]:
    """The arguments of `custom_vjp` that make of a node for one sample the one for all.

    Args:
        graphs: those of the node, by the names that `name_of(outputs with gradients, number of outputs)` gives.
    """
    attrs, bodies = batch.attrs, BatchedBodies(batch)
    count, end = attrs["outputs"], attrs["outputs"] + attrs["inputs"]
    outputs = [batch.spread(i) for i in range(count)]
    inputs = outputs if attrs.get("is_hook") else list(batch.operands[count:end])
    varies = [True] * count if attrs.get("is_hook") else batch.varies[count:end]
    saved, flags = batch.operands[end:], batch.varies[end:]
    results = attrs["saved_results"]

    def backward(*gradients: Handle | None) -> tuple[Handle | None, ...]:
        present = [i for i, g in enumerate(gradients) if g is not None]
        given = (*(gradients[i] for i in present), *(outputs[i] for i in results), *saved)
        differs = (True,) * (len(present) + len(results)) + flags
        level, found = bodies.run(name_of(present, count), given, differs)
        with level:
            whole = [None if g is None else level.spread(g) for g in found]
        return tuple([g if g is None or v else g.sum(0) for g, v in zip(whole, varies, strict=True)])

    materialize = attrs.get("materialized", len(graphs) == 1)
    unversioned = attrs.get("unversioned", ())
    versioned = [s for i, s in enumerate(saved, end) if i not in unversioned] if unversioned else None
    outside = (lambda: saved[-1]) if attrs.get("reads_outside") else None
    return outputs, inputs, backward, materialize, attrs.get("is_hook", False), versioned, outside
