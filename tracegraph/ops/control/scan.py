"""A loop over the slices of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracegraph.errors import ControlFlowError, IRError
from tracegraph.ir import TensorType
from tracegraph.ops import functional as F
from tracegraph.ops.control.batched import batched_scan
from tracegraph.ops.control.body_runners import Runner
from tracegraph.ops.control.control_flow import (
    check_callable,
    check_carried,
    check_switch,
    check_tensors,
    common_length,
    fitted,
    fresh,
    record_node,
    type_of,
    with_first,
)
from tracegraph.ops.control.control_flow_samples import SCAN
from tracegraph.ops.control.kind import ControlFlow
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.canonical import normalize_dim
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.shapes import equal
from tracegraph.ops.graphs.nested import BodyMaker, Draws, Input
from tracegraph.ops.graphs.recording import Traced, recorder_of
from tracegraph.ops.graphs.structure import Structure, Tree, described, flatten, static_parts, unflatten
from tracegraph.ops.kinds.batching import Batch


@define_op
class Scan(ControlFlow):
    """`carry, y = combine_fn(carry, x)` for every slice `x` of `xs` along `dim`, from `init` on; returns the last
    carry and all `y`, stacked along a new dimension `dim`, or the first where they have not so many.

    `init` and `xs` are tensors in any nesting of dict, list, tuple and namedtuple, all of `xs` with the same size
    along `dim`, which is not 0. `combine_fn` returns a carry with the structure, shapes and dtypes of `init`, and a
    tree of tensors, or None. With `reverse` the last slice comes first; the `y` of a slice stands where the slice does.
    In a graph `combine_fn` may read any tensor from outside, but write to none, and have no other effect. As
    `torch._higher_order_ops.scan`; `jax.lax.scan`.

    Raises:
        ArgumentError: `combine_fn` is not callable, or something in `init` or `xs` is no tensor.
        ShapeError: sizes along `dim` differ, or are 0.
        ControlFlowError: `combine_fn` returns no pair, or another carry than it takes, or its `y` vary in type.
    """

    signature = "(combine_fn: any, init: any, xs: any, dim: int = 0, reverse: bool = False)"
    bodies = ("body",)
    samples = SCAN

    def enter(
        self,
        record: BodyMaker,
        combine_fn: Callable[[Tree, Tree], Any],
        init: Tree,
        xs: Tree,
        dim: int = 0,
        reverse: bool = False,
    ) -> tuple[Tree, Tree]:
        """The call, `combine_fn` recorded by `record` if it is on traced tensors."""
        check_callable("scan", combine_fn=combine_fn)
        check_switch("scan", "reverse", reverse)
        carry, carry_structure = check_tensors("scan", "init", init)
        scanned, xs_structure = check_tensors("scan", "xs", xs)
        scanned = [with_first("scan", x, dim) for x in scanned]
        length = common_length("scan", scanned)

        def combine(*leaves: Handle) -> tuple[Tree, Tree]:
            state, x = leaves[: len(carry)], leaves[len(carry) :]
            return _pair(combine_fn(unflatten(carry_structure, state), unflatten(xs_structure, x)))

        if any(isinstance(leaf, Traced) for leaf in (*carry, *scanned)):
            state, ys = self._record(record, combine, carry, carry_structure, scanned, bool(reverse))
        else:
            state, ys = _unrolled(combine, carry, carry_structure, [x.unbind(0) for x in scanned], length, reverse)
        axis = normalize_dim("scan", "dim", dim, scanned[0].ndim)
        rows, structure = flatten(ys)
        ys = unflatten(structure, [y.movedim(0, axis).contiguous() if 0 < axis < y.ndim else y for y in rows])
        return unflatten(carry_structure, state), ys

    def _record(
        self,
        record: BodyMaker,
        combine: Callable[..., tuple[Tree, Tree]],
        carry: Sequence[Handle],
        carry_structure: Structure,
        scanned: Sequence[Handle],
        reverse: bool,
    ) -> tuple[Sequence[Handle], Tree]:
        outer = recorder_of((*carry, *scanned))
        carry, scanned = [outer.inside(c) for c in carry], [outer.inside(x) for x in scanned]
        slices = [_slice_input(x) for x in scanned]
        types, tracked = [c.type for c in carry], [c.requires_grad for c in carry]

        def step(*leaves: Handle) -> tuple[Tree, Tree]:
            state, y = combine(*leaves)
            return fitted(state, types), y

        draws = Draws.NOTED
        while True:
            inputs = [Input(type, t) for type, t in zip(types, tracked, strict=True)]
            body = record(outer, "combine_fn", step, [*inputs, *slices], draws)
            if body.draws and draws is Draws.NOTED:
                draws = Draws.KEYED
                continue
            found, ys = body.structure.items
            given = (carry_structure, types)
            check_carried("scan", "combine_fn", given, (found, body.types[: len(carry)]))
            later = [a or b for a, b in zip(tracked, body.requires_grad, strict=False)]
            if later == tracked:
                break
            tracked = later  # the second step is given what the first one made
        _check_scanned_results(ys)
        attrs = {"carried": len(carry) + body.is_keyed, "scanned": len(scanned), "reverse": reverse}
        results = record_node(self, outer, [], (*carry, *scanned), {"body": body}, attrs, body.requires_grad)
        return results[: len(carry)], unflatten(ys, results[len(carry) :])

    def infer(self, *operands: Any, carried: int, scanned: int, reverse: bool, **attrs: Any) -> tuple[TensorType, ...]:
        xs = operands[carried : carried + scanned]
        if not xs or any(not x.shape or not equal(x.shape[0], xs[0].shape[0]) for x in xs):
            raise IRError(f"scan: no common first size of {list(xs)}")
        slices = (x.with_shape(x.shape[1:]) for x in xs)
        given = (*operands[:carried], *slices, *operands[carried + scanned :])
        results = self.check_inputs("body", attrs, given)
        if results[:carried] != operands[:carried]:
            raise IRError(f"scan: body is given {list(operands[:carried])}, gives {list(results[:carried])}")
        length = xs[0].shape[0]
        return (*results[:carried], *(y.with_shape((length, *y.shape)) for y in results[carried:]))

    def batched(self, batch: Batch) -> Any:
        return batched_scan(batch, self)

    def execute(self, runner: Runner, operands: Sequence[Any], attrs: dict[str, Any]) -> Sequence[Any]:
        carried, end = attrs["carried"], attrs["carried"] + attrs["scanned"]
        state, xs, constants = operands[:carried], operands[carried:end], operands[end:]
        length = xs[0].shape[0]
        ys: list[Sequence[Any]] = [()] * length
        for step in range(length - 1, -1, -1) if attrs["reverse"] else range(length):
            results = runner.run("body", (*state, *(runner.item(x, step) for x in xs), *constants))
            state, ys[step] = results[:carried], results[carried:]
        return (*state, *(runner.stack(column) for column in zip(*ys, strict=True)))


def _slice_input(handle: Traced) -> Input:
    """What the body sees of a tensor scanned along its first dimension."""
    strides = handle.recorder.strides_of(handle.value)
    return Input(handle.type.with_shape(handle.type.shape[1:]), handle.requires_grad, strides[1:])


def _unrolled(
    combine: Callable[..., tuple[Tree, Tree]],
    state: Sequence[Handle],
    carry_structure: Structure,
    columns: Sequence[Sequence[Handle]],
    length: int,
    reverse: bool,
) -> tuple[Sequence[Handle], Tree]:
    """A scan as a loop over eager tensors."""
    given = (carry_structure, list(map(type_of, state)))
    rows: list[Sequence[Handle]] = [()] * length
    ys: tuple[Structure, list[TensorType]] | None = None
    for step in range(length - 1, -1, -1) if reverse else range(length):
        carry, y = combine(*state, *(column[step] for column in columns))
        state, found = flatten(carry)
        check_carried("scan", "combine_fn", given, (found, list(map(type_of, state))))
        rows[step], structure = flatten(y)
        _check_scanned_results(structure)
        types = list(map(type_of, rows[step]))
        if ys is not None and ys != (structure, types):
            before, now = described(*ys), described(structure, types)
            raise ControlFlowError(f"scan: combine_fn returned y of {before}, then of {now}")
        ys = structure, types
    assert ys is not None
    return fresh(state), unflatten(ys[0], [F.stack(list(column)) for column in zip(*rows, strict=True)])


def _pair(result: Any) -> tuple[Tree, Tree]:
    if not isinstance(result, tuple | list) or len(result) != 2:
        found = "a tensor" if is_tensor(result) else type(result).__name__
        raise ControlFlowError(f"scan: combine_fn must return (carry, y), returned {found}")
    return result[0], result[1]


def _check_scanned_results(structure: Structure) -> None:
    for part in static_parts(structure):
        if part is not None:
            raise ControlFlowError(
                f"scan: y must hold tensors or None, got {part!r} of type {type(part).__name__}; "
                "wrap numbers with tracegraph.tensor(...)"
            )
