"""A branch that depends on a tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tracegraph.errors import ControlFlowError, IRError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ops.control.batched import batched_cond, chosen, varies
from tracegraph.ops.control.body_runners import Runner
from tracegraph.ops.control.control_flow import (
    check_callable,
    check_sequence,
    condition_of,
    fitted,
    fresh,
    record_node,
    recorded_bodies,
)
from tracegraph.ops.control.control_flow_samples import COND
from tracegraph.ops.control.kind import ControlFlow
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import define_op
from tracegraph.ops.graphs.nested import BodyMaker, Draws, Input, RecordedBody
from tracegraph.ops.graphs.recording import Traced, recorder_of
from tracegraph.ops.graphs.structure import Tree, described, flatten, static_parts, unflatten
from tracegraph.ops.kinds.batching import Batch
from tracegraph.providers import provided


@define_op
class Cond(ControlFlow):
    """`true_fn(*operands)` if `pred` is true, else `false_fn(*operands)`.

    `pred` is a bool, or a tensor of one element; `operands` is a tuple or list of tensors in any nesting of dict,
    list, tuple and namedtuple, and so are the results. In a graph, both functions must return results of one structure
    with equal shapes and dtypes; they may read any tensor from outside, but write to none, and have no other effect.
    The gradient is that of the branch taken, and zeros for what only the other branch uses: outside of a graph that
    branch is captured, as `compile` does it, to see what it reads, and is never run. As `torch.cond`; `jax.lax.cond`.

    Raises:
        ArgumentError: a function is not callable, `pred` is no number, or `operands` is no tuple.
        ShapeError: `pred` has not one element.
        ControlFlowError: the functions cannot be the branches of one node; says how they differ.
    """

    signature = "(pred: Number, true_fn: any, false_fn: any, operands: any = ())"
    bodies = ("true_graph", "false_graph")
    samples = COND

    def enter(
        self,
        record: BodyMaker,
        pred: Any,
        true_fn: Callable[..., Tree],
        false_fn: Callable[..., Tree],
        operands: Sequence[Tree] = (),
    ) -> Tree:
        """The call, its branches recorded by `record` if it is on traced tensors."""
        check_callable("cond", true_fn=true_fn, false_fn=false_fn)
        operands = check_sequence("cond", "operands", operands)
        condition = condition_of("cond", "pred", pred)
        if varies(condition):
            return chosen(condition, true_fn(*operands), false_fn(*operands))
        if not isinstance(condition, Traced):
            taken, untaken = (true_fn, false_fn) if condition else (false_fn, true_fn)
            result = fresh(taken(*operands))
            return provided("joined_to_untaken")(result, untaken, operands) if is_tensor(pred) else result
        given, structure = flatten(operands)
        outer = recorder_of((condition, *given))
        leaves = [outer.inside(leaf) for leaf in given]
        inputs = [_input(leaf) for leaf in leaves]

        def branches(draws: Draws) -> dict[str, RecordedBody]:
            true = record(outer, "true_fn", lambda *xs: true_fn(*unflatten(structure, xs)), inputs, draws)
            alike = partial(fitted, types=true.types)
            false = record(outer, "false_fn", lambda *xs: alike(false_fn(*unflatten(structure, xs))), inputs, draws)
            return {"true_graph": true, "false_graph": false}

        bodies = recorded_bodies(branches)
        true, false = bodies.values()
        _check_branches(true, false)
        tracked = [a or b for a, b in zip(true.requires_grad, false.requires_grad, strict=True)]
        results = record_node(self, outer, [condition], leaves, bodies, {}, tracked)
        return unflatten(true.structure, results)

    def infer(self, *operands: Any, **attrs: Any) -> tuple[TensorType, ...]:
        pred, *given = operands
        if not isinstance(pred, TensorType) or pred.shape or not pred.dtype.is_bool:
            raise IRError(f"cond: the condition must be bool[], got {pred}")
        true, false = (self.check_inputs(name, attrs, given) for name in self.bodies)
        if true != false:
            raise IRError(f"cond: true_graph gives {list(true)}, false_graph {list(false)}")
        return true

    def batched(self, batch: Batch) -> Any:
        return batched_cond(batch, self)

    def execute(self, runner: Runner, operands: Sequence[Any], attrs: dict[str, Any]) -> Sequence[Any]:
        pred, *given = operands
        taken, untaken = self.bodies if bool(pred) else reversed(self.bodies)
        return runner.joined_to(runner.run(taken, given), untaken, given)


def _input(handle: Traced) -> Input:
    return Input(handle.type, handle.requires_grad, handle.recorder.strides_of(handle.value))


def _check_branches(true: RecordedBody, false: RecordedBody) -> None:
    for body in (true, false):
        for part in static_parts(body.structure):
            if part is not None and not isinstance(part, bool | int | float | str | dims.SymExpr):
                raise ControlFlowError(f"cond: {body.name} returns an object of type {type(part).__name__}")
    if true.structure != false.structure or true.types != false.types:
        first, second = (described(b.structure, b.types) for b in (true, false))
        raise ControlFlowError(f"cond: the branches must return alike: true_fn gives {first}, false_fn gives {second}")
