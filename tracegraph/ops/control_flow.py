"""Control flow that depends on tensors: `cond`, `while_loop`, `scan`.

On eager tensors these are the Python they stand for: one branch is called, the body is called again and again, and
the tape sees what ran. On traced tensors the functions are recorded as graphs, and the call is one node (see
`nested`). Either way results share memory with nothing; a function that returns what it was given returns a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, ControlFlowError, IRError, ShapeError
from tracegraph.ir import Graph, TensorType, Value
from tracegraph.ir import dim as dims
from tracegraph.ir.subgraphs import sizes_of
from tracegraph.ops import functional as F
from tracegraph.ops.binding import is_tensor, normalize_dim
from tracegraph.ops.body_runners import Runner
from tracegraph.ops.control_flow_samples import COND, SCAN, WHILE_LOOP
from tracegraph.ops.definition import Handle, define_op
from tracegraph.ops.dispatch import dispatch
from tracegraph.ops.kinds import ControlFlow
from tracegraph.ops.nested import BodyMaker, Input, RecordedBody, closed, record_body
from tracegraph.ops.pytree import Structure, Tree, described, flatten, static_parts, unflatten
from tracegraph.ops.recording import Recorder, Traced, recorder_of


@define_op
class Cond(ControlFlow):
    """`true_fn(*operands)` if `pred` is true, else `false_fn(*operands)`.

    `pred` is a bool, or a tensor of one element; `operands` is a tuple or list of tensors in any nesting of dict,
    list, tuple and namedtuple, and so are the results. In a graph, both functions must return results of one structure
    with equal shapes and dtypes; they may read any tensor from outside, but write to none, and have no other effect.
    The gradient is that of the branch taken. As `torch.cond`; `jax.lax.cond`.

    Raises:
        ArgumentError: a function is not callable, or `operands` is no tuple.
        ShapeError: `pred` has not one element.
        ControlFlowError: the functions cannot be the branches of one node; says how they differ.
    """

    signature = "(pred: Number, true_fn: any, false_fn: any, operands: any = ())"
    bodies = ("true_graph", "false_graph")
    samples = COND

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        return self.enter(record_body, *args, **kwargs)

    def enter(
        self,
        record: BodyMaker,
        pred: Any,
        true_fn: Callable[..., Tree],
        false_fn: Callable[..., Tree],
        operands: Sequence[Tree] = (),
    ) -> Tree:
        """The call, its branches recorded by `record` if it is on traced tensors."""
        _check_callable("cond", true_fn=true_fn, false_fn=false_fn)
        operands = _check_sequence("cond", "operands", operands)
        condition = _condition("cond", "pred", pred)
        if not isinstance(condition, Traced):
            return _fresh((true_fn if condition else false_fn)(*operands))
        given, structure = flatten(operands)
        outer = recorder_of((condition, *given))
        leaves = [outer.inside(leaf) for leaf in given]
        inputs = [_input(leaf) for leaf in leaves]
        true = record(outer, "true_fn", lambda *xs: true_fn(*unflatten(structure, xs)), inputs)
        alike = partial(_fitted, types=true.types)
        false = record(outer, "false_fn", lambda *xs: alike(false_fn(*unflatten(structure, xs))), inputs)
        _check_branches(true, false)
        tracked = [a or b for a, b in zip(true.requires_grad, false.requires_grad, strict=True)]
        results = _node(self, outer, (condition, *leaves), {"true_graph": true, "false_graph": false}, {}, tracked)
        return unflatten(true.structure, results)

    def infer(self, *operands: Any, **attrs: Any) -> tuple[TensorType, ...]:
        pred, *given = operands
        if not isinstance(pred, TensorType) or pred.shape or not pred.dtype.is_bool:
            raise IRError(f"cond: the condition must be bool[], got {pred}")
        true, false = (self.check_inputs(name, attrs, given) for name in self.bodies)
        if true != false:
            raise IRError(f"cond: true_graph gives {list(true)}, false_graph {list(false)}")
        return true

    def execute(self, runner: Runner, operands: Sequence[Any], attrs: dict[str, Any]) -> Sequence[Any]:
        pred, *given = operands
        return runner.run("true_graph" if bool(pred) else "false_graph", given)


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

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        return self.enter(record_body, *args, **kwargs)

    def enter(
        self,
        record: BodyMaker,
        cond_fn: Callable[..., Any],
        body_fn: Callable[..., Tree],
        carried_inputs: Sequence[Tree],
    ) -> Tree:
        """The call, its functions recorded by `record` if it is on traced tensors."""
        _check_callable("while_loop", cond_fn=cond_fn, body_fn=body_fn)
        carried = _check_sequence("while_loop", "carried_inputs", carried_inputs)
        given, structure = _check_tensors("while_loop", "carried_inputs", carried)
        if any(isinstance(leaf, Traced) for leaf in given):
            return self._record(record, cond_fn, body_fn, given, structure)
        types = list(map(_type_of, given))
        while _condition("while_loop", "what cond_fn returns", cond_fn(*carried)):
            leaves, found = flatten(_as_tuple(body_fn(*carried)))
            _check_carried("while_loop", "body_fn", (structure, types), (found, list(map(_type_of, leaves))))
            carried = unflatten(structure, leaves)
        return _fresh(carried)

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
            found = _condition("while_loop", "what cond_fn returns", cond_fn(*unflatten(structure, xs)))
            return found if is_tensor(found) else F.full((), found, dtype=dtypes.bool_)

        cond = record(outer, "cond_fn", condition, inputs)
        types = [leaf.type for leaf in leaves]
        alike = partial(_fitted, types=types)
        body = record(outer, "body_fn", lambda *xs: alike(_as_tuple(body_fn(*unflatten(structure, xs)))), inputs)
        _check_carried("while_loop", "body_fn", (structure, types), (body.structure, body.types))
        if outer.grad_enabled and (any(i.requires_grad for i in inputs) or cond.captures_grad or body.captures_grad):
            raise ControlFlowError(f"while_loop in a graph {NO_GRADIENT}")
        attrs = {"carried": len(leaves)}
        results = _node(self, outer, leaves, {"cond_graph": cond, "body_graph": body}, attrs, body.requires_grad)
        return unflatten(structure, results)

    def infer(self, *operands: Any, carried: int, **attrs: Any) -> tuple[TensorType, ...]:
        (condition,) = self.check_inputs("cond_graph", attrs, operands)
        if condition.shape or not condition.dtype.is_bool:
            raise IRError(f"while_loop: cond_graph must give bool[], gives {condition}")
        results = self.check_inputs("body_graph", attrs, operands)
        if results != operands[:carried]:
            raise IRError(f"while_loop: body_graph is given {list(operands[:carried])}, gives {list(results)}")
        return results

    def execute(self, runner: Runner, operands: Sequence[Any], attrs: dict[str, Any]) -> Sequence[Any]:
        carried, constants = operands[: attrs["carried"]], operands[attrs["carried"] :]
        carried = runner.fresh(carried)
        while bool(runner.run("cond_graph", (*carried, *constants))[0]):
            carried = runner.run("body_graph", (*carried, *constants))
        return carried


#: why a graph has no gradient of a while_loop, and what to do
NO_GRADIENT = (
    "has no gradient: nothing bounds what it would have to keep. Use scan where the number of steps is known, or "
    "detach() what the loop reads, or run it under no_grad()"
)


@define_op
class Scan(ControlFlow):
    """`carry, y = combine_fn(carry, x)` for every slice `x` of `xs` along `dim`, from `init` on; returns the last
    carry and all `y`, stacked along a new first dimension.

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

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        return self.enter(record_body, *args, **kwargs)

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
        _check_callable("scan", combine_fn=combine_fn)
        carry, carry_structure = _check_tensors("scan", "init", init)
        scanned, xs_structure = _check_tensors("scan", "xs", xs)
        scanned = [_with_first(x, dim) for x in scanned]
        length = _length(scanned)

        def combine(*leaves: Handle) -> tuple[Tree, Tree]:
            state, x = leaves[: len(carry)], leaves[len(carry) :]
            return _pair(combine_fn(unflatten(carry_structure, state), unflatten(xs_structure, x)))

        if any(isinstance(leaf, Traced) for leaf in (*carry, *scanned)):
            state, ys = self._record(record, combine, carry, carry_structure, scanned, bool(reverse))
        else:
            state, ys = _unrolled(combine, carry, carry_structure, [x.unbind(0) for x in scanned], length, reverse)
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
            return _fitted(state, types), y

        while True:
            inputs = [Input(type, t) for type, t in zip(types, tracked, strict=True)]
            body = record(outer, "combine_fn", step, [*inputs, *slices])
            found, ys = body.structure.items  # type: ignore[union-attr]
            given = (carry_structure, types)
            _check_carried("scan", "combine_fn", given, (found, body.types[: len(carry)]))
            later = [a or b for a, b in zip(tracked, body.requires_grad, strict=False)]
            if later == tracked:
                break
            tracked = later  # the second step is given what the first one made
        _check_scanned_results(ys)
        attrs = {"carried": len(carry), "scanned": len(scanned), "reverse": reverse}
        results = _node(self, outer, (*carry, *scanned), {"body": body}, attrs, body.requires_grad)
        return results[: len(carry)], unflatten(ys, results[len(carry) :])

    def infer(self, *operands: Any, carried: int, scanned: int, reverse: bool, **attrs: Any) -> tuple[TensorType, ...]:
        xs = operands[carried : carried + scanned]
        if not xs or any(not x.shape or not dims.same(x.shape[0], xs[0].shape[0]) for x in xs):
            raise IRError(f"scan: no common first size of {list(xs)}")
        slices = (x.with_shape(x.shape[1:]) for x in xs)
        given = (*operands[:carried], *slices, *operands[carried + scanned :])
        results = self.check_inputs("body", attrs, given)
        if results[:carried] != operands[:carried]:
            raise IRError(f"scan: body is given {list(operands[:carried])}, gives {list(results[:carried])}")
        length = xs[0].shape[0]
        return (*results[:carried], *(y.with_shape((length, *y.shape)) for y in results[carried:]))

    def execute(self, runner: Runner, operands: Sequence[Any], attrs: dict[str, Any]) -> Sequence[Any]:
        carried, end = attrs["carried"], attrs["carried"] + attrs["scanned"]
        state, xs, constants = operands[:carried], operands[carried:end], operands[end:]
        length = xs[0].shape[0]
        ys: list[Sequence[Any]] = [()] * length
        for step in range(length - 1, -1, -1) if attrs["reverse"] else range(length):
            results = runner.run("body", (*state, *(runner.item(x, step) for x in xs), *constants))
            state, ys[step] = results[:carried], results[carried:]
        return (*state, *(runner.stack(column) for column in zip(*ys, strict=True)))


# --------------------------------------------------------------------------------------------- one node


def _node(
    op: ControlFlow,
    outer: Recorder,
    operands: Sequence[Traced],
    bodies: dict[str, RecordedBody],
    attrs: dict[str, Any],
    tracked: Sequence[bool],
) -> list[Handle]:
    """Record the node; its results, which require grad where `tracked` says so."""
    graphs, captured = closed(list(bodies.values()))
    if not bodies[op.bodies[-1]].types:
        return []
    held: dict[str, Graph] = dict(zip(bodies, graphs, strict=True))
    attrs = {**attrs, **held, "sizes": sizes_of(graphs)}
    every = [*operands, *(outer.traced(v, _is_tracked(bodies, v)) for v in captured)]
    if not outer.grad_enabled:
        every = [o.detach() if o.requires_grad else o for o in every]
    packed = dispatch(op, tuple(every), attrs)
    results = list(packed) if isinstance(packed, tuple) else [packed]
    for result, is_tracked in zip(results, tracked, strict=True):
        result.requires_grad = result.requires_grad and is_tracked
    return results


def _is_tracked(bodies: dict[str, RecordedBody], value: Value) -> bool:
    return any(body.captures_grad for body in bodies.values() if value in body.captured)


def _input(handle: Traced) -> Input:
    return Input(handle.type, handle.requires_grad, handle.recorder.strides_of(handle.value))


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
    given = (carry_structure, list(map(_type_of, state)))
    rows: list[Sequence[Handle]] = [()] * length
    ys: tuple[Structure, list[TensorType]] | None = None
    for step in range(length - 1, -1, -1) if reverse else range(length):
        carry, y = combine(*state, *(column[step] for column in columns))
        state, found = flatten(carry)
        _check_carried("scan", "combine_fn", given, (found, list(map(_type_of, state))))
        rows[step], structure = flatten(y)
        _check_scanned_results(structure)
        types = list(map(_type_of, rows[step]))
        if ys is not None and ys != (structure, types):
            before, now = described(*ys), described(structure, types)
            raise ControlFlowError(f"scan: combine_fn returned y of {before}, then of {now}")
        ys = structure, types
    assert ys is not None
    return _fresh(state), unflatten(ys[0], [F.stack(list(column)) for column in zip(*rows, strict=True)])


# --------------------------------------------------------------------------------------------- what is given


def _check_callable(op: str, **functions: Any) -> None:
    for name, function in functions.items():
        if not callable(function):
            raise ArgumentError(f"{op}: argument {name!r} must be callable, got {type(function).__name__}")


def _check_sequence(op: str, name: str, value: Any) -> tuple[Tree, ...]:
    if not isinstance(value, list | tuple):
        hint = "; write (x,) for one tensor" if is_tensor(value) else ""
        raise ArgumentError(f"{op}: argument {name!r} must be a tuple or list, got {type(value).__name__}{hint}")
    return tuple(value)


def _check_tensors(op: str, name: str, tree: Tree) -> tuple[list[Handle], Structure]:
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


def _condition(op: str, name: str, value: Any) -> Any:
    """A bool, or a traced 0-d bool tensor."""
    if not is_tensor(value):
        return bool(value)
    if value.ndim and not all(size == 1 for size in value.shape):
        raise ShapeError(f"{op}: {name} must have one element, got {_type_of(value)}")
    if not isinstance(value, Traced):
        return bool(value)
    value = value.reshape(()) if value.ndim else value
    return value if value.dtype.is_bool else value != 0


def _with_first(x: Handle, dim: int) -> Handle:
    """`x` with dimension `dim` as its first."""
    axis = normalize_dim("scan", "dim", dim, x.ndim)
    return x.movedim(axis, 0) if axis else x


def _length(scanned: Sequence[Handle]) -> Any:
    """The common size along the first dimension."""
    if any(not x.ndim for x in scanned):
        raise ShapeError("scan: xs holds a 0-d tensor, which has no slices")
    length = scanned[0].shape[0]
    if any(x.shape[0] != length for x in scanned):
        raise ShapeError(f"scan: sizes along the scanned dimension differ: {[x.shape[0] for x in scanned]}")
    if length == 0:
        raise ShapeError("scan: the scanned dimension has size 0, so nothing says what combine_fn returns")
    return length


# --------------------------------------------------------------------------------------------- what is returned


def _type_of(handle: Handle) -> TensorType:
    return TensorType(handle.dtype, tuple(handle.shape))


def _as_tuple(result: Tree) -> Tree:
    """A list returned in the place of a tuple."""
    return tuple(result) if type(result) is list else result


def _fitted(tree: Tree, types: Sequence[TensorType]) -> Tree:
    """What a body returns, in the shapes it must have where these differ in how they write a size."""
    leaves, structure = flatten(tree)
    if len(leaves) != len(types):
        return tree
    return unflatten(structure, [_in_shape(leaf, type.shape) for leaf, type in zip(leaves, types, strict=True)])


def _in_shape(leaf: Handle, shape: tuple[dims.Dim, ...]) -> Handle:
    if dims.same_shape(tuple(leaf.shape), shape) or leaf.ndim != len(shape):
        return leaf
    return leaf.reshape(shape) if all(a == b for a, b in zip(leaf.shape, shape, strict=True)) else leaf


def _pair(result: Any) -> tuple[Tree, Tree]:
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise ControlFlowError(f"scan: combine_fn must return (carry, y), returned {type(result).__name__}")
    return result[0], result[1]


def _check_branches(true: RecordedBody, false: RecordedBody) -> None:
    for body in (true, false):
        for part in static_parts(body.structure):
            if part is not None and not isinstance(part, bool | int | float | str | dims.SymExpr):
                raise ControlFlowError(f"cond: {body.name} returns an object of type {type(part).__name__}")
    if true.structure != false.structure or true.types != false.types:
        first, second = (described(b.structure, b.types) for b in (true, false))
        raise ControlFlowError(f"cond: the branches must return alike: true_fn gives {first}, false_fn gives {second}")


def _check_carried(
    op: str,
    function: str,
    given: tuple[Structure, Sequence[TensorType]],
    returned: tuple[Structure, Sequence[TensorType]],
) -> None:
    if (given[0], list(given[1])) != (returned[0], list(returned[1])):
        raise ControlFlowError(
            f"{op}: {function} must return the carry as it takes it: takes {described(*given)}, "
            f"returns {described(*returned)}"
        )


def _check_scanned_results(structure: Structure) -> None:
    for part in static_parts(structure):
        if part is not None:
            raise ControlFlowError(
                f"scan: y must hold tensors or None, got {part!r} of type {type(part).__name__}; "
                "wrap numbers with tracegraph.tensor(...)"
            )


def _fresh(tree: Tree) -> Tree:
    """The tree with copies of its tensors."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [leaf.clone() for leaf in leaves])
