"""A loop whose end depends on a tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ControlFlowError, IRError
from tracegraph.ir import TensorType
from tracegraph.ops import functional as F
from tracegraph.ops.control.batched import any_sample, batched_while_loop, chosen, varies
from tracegraph.ops.control.body_runners import Runner
from tracegraph.ops.control.control_flow import (
    check_callable,
    check_carried,
    check_sequence,
    check_tensors,
    condition_of,
    fitted,
    fresh,
    record_node,
    recorded_bodies,
    type_of,
)
from tracegraph.ops.control.control_flow_samples import WHILE_LOOP
from tracegraph.ops.control.kind import ControlFlow
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.random_key import KEY
from tracegraph.ops.graphs.nested import BodyMaker, Draws, Input, RecordedBody
from tracegraph.ops.graphs.recording import Traced, recorder_of
from tracegraph.ops.graphs.structure import Structure, Tree, flatten, unflatten
from tracegraph.ops.kinds.batching import Batch

#: why a graph has no gradient of a while_loop, and what to do
NO_GRADIENT = (
    "has no gradient: nothing bounds what it would have to keep. Use scan where the number of steps is known, or "
    "detach() what the loop reads, or run it under no_grad()"
)


@define_op
class WhileLoop(ControlFlow):
    """`while cond_fn(*carried): carried = body_fn(*carried)`, from `carried_inputs` on; returns what is carried last.

    `carried_inputs` is a tuple or list of tensors in any nesting of dict, list, tuple and namedtuple. `cond_fn` returns
    a bool or a tensor of one element, `body_fn` what is carried on, with the structure, shapes and dtypes of
    `carried_inputs`. In a graph the functions may read any tensor from outside, but write to none, and have no other
    effect; and there is no gradient, as nothing bounds what would have to be kept (on eager tensors there is; see
    `scan`). As `torch.while_loop`; `jax.lax.while_loop`.

    Raises:
        ArgumentError: a function is not callable, or something carried is no tensor.
        ControlFlowError: `body_fn` returns something else than it takes.
    """

    signature = "(cond_fn: any, body_fn: any, carried_inputs: any)"
    bodies = ("cond_graph", "body_graph")
    differentiable = False
    samples = WHILE_LOOP

    def enter(
        self,
        record: BodyMaker,
        cond_fn: Callable[..., Any],
        body_fn: Callable[..., Tree],
        carried_inputs: Sequence[Tree],
    ) -> Tree:
        """The call, its functions recorded by `record` if it is on traced tensors."""
        check_callable("while_loop", cond_fn=cond_fn, body_fn=body_fn)
        carried = check_sequence("while_loop", "carried_inputs", carried_inputs)
        given, structure = check_tensors("while_loop", "carried_inputs", carried)
        if any(isinstance(leaf, Traced) for leaf in given):
            return self._record(record, cond_fn, body_fn, given, structure)
        types = list(map(type_of, given))
        while True:
            condition = condition_of("while_loop", "what cond_fn returns", cond_fn(*carried))
            if not (any_sample(condition) if varies(condition) else condition):
                return fresh(carried)
            leaves, found = flatten(_as_tuple(body_fn(*carried)))
            check_carried("while_loop", "body_fn", (structure, types), (found, list(map(type_of, leaves))))
            new = unflatten(structure, leaves)
            carried = chosen(condition, new, carried) if varies(condition) else new

    def _record(
        self,
        record: BodyMaker,
        cond_fn: Callable[..., Any],
        body_fn: Callable[..., Tree],
        given: Sequence[Handle],
        structure: Structure,
    ) -> Tree:
        outer = recorder_of(given)
        leaves = [outer.inside(leaf) for leaf in given]
        inputs = [Input(leaf.type, leaf.requires_grad) for leaf in leaves]

        def condition(*xs: Handle) -> Handle:
            found = condition_of("while_loop", "what cond_fn returns", cond_fn(*unflatten(structure, xs)))
            return found if is_tensor(found) else F.full((), found, dtype=dtypes.bool_)

        types = [leaf.type for leaf in leaves]
        alike = partial(fitted, types=types)

        def functions(draws: Draws) -> dict[str, RecordedBody]:
            is_keyed = draws is Draws.KEYED
            asked = (lambda key, *xs: condition(*xs)) if is_keyed else condition
            cond = record(outer, "cond_fn", asked, [Input(KEY)] * is_keyed + inputs, Draws.NOTED)
            if cond.draws:
                raise ControlFlowError("while_loop: cond_fn draws random numbers; draw them in body_fn, and carry them")
            body = record(
                outer, "body_fn", lambda *xs: alike(_as_tuple(body_fn(*unflatten(structure, xs)))), inputs, draws
            )
            return {"cond_graph": cond, "body_graph": body}

        bodies = recorded_bodies(functions)
        cond, body = bodies.values()
        check_carried("while_loop", "body_fn", (structure, types), (body.structure, body.types))
        if outer.grad_enabled and (any(i.requires_grad for i in inputs) or cond.requiring or body.requiring):
            raise ControlFlowError(f"while_loop in a graph {NO_GRADIENT}")
        attrs = {"carried": len(leaves) + body.is_keyed}
        results = record_node(self, outer, [], leaves, bodies, attrs, body.requires_grad)
        return unflatten(structure, results)

    def infer(self, *operands: Any, carried: int, **attrs: Any) -> tuple[TensorType, ...]:
        (condition,) = self.check_inputs("cond_graph", attrs, operands)
        if condition.shape or not condition.dtype.is_bool:
            raise IRError(f"while_loop: cond_graph must give bool[], gives {condition}")
        results = self.check_inputs("body_graph", attrs, operands)
        if results != operands[:carried]:
            raise IRError(f"while_loop: body_graph is given {list(operands[:carried])}, gives {list(results)}")
        return results

    def batched(self, batch: Batch) -> Any:
        return batched_while_loop(batch, self)

    def execute(self, runner: Runner, operands: Sequence[Any], attrs: dict[str, Any]) -> Sequence[Any]:
        carried, constants = operands[: attrs["carried"]], operands[attrs["carried"] :]
        carried = runner.fresh(carried)
        while bool(runner.run("cond_graph", (*carried, *constants))[0]):
            carried = runner.run("body_graph", (*carried, *constants))
        return carried


def _as_tuple(result: Tree) -> Tree:
    """A list returned in the place of a tuple."""
    return tuple(result) if type(result) is list else result
