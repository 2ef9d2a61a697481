"""Tensors whose gradient is not that of the operations they were computed by: what `autograd.Function` is in a graph.

    y = Fn.apply(x)          -->      %0: f32[3] = detach(%x)
                                      %1: f32[3] = exp(%0)
                                      %2: f32[3] = custom_vjp(%1, %x, backward=graph backward_fn(%arg0: f32[3],
                                          %arg1: f32[3]) { ... }, inputs=1, outputs=1, saved_results=[0], sizes=[])

What computes the results are ordinary nodes. `custom_vjp` is the identity on them; differentiated, it is its backward
graph. Where gradients have been made, or none are, it is its operands (`decompose`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, AutogradError, ControlFlowError, IRError
from tracegraph.ir import Builder, Graph, Kind, Operand, Rebuilder, TensorType, Value
from tracegraph.ir.subgraphs import sizes_of, symbols_of
from tracegraph.ops import functional as F
from tracegraph.ops.control.batched import batched_arguments
from tracegraph.ops.control.body_runners import HandleRunner
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.autocast import not_casting
from tracegraph.ops.core.definition import Gradient, Handle, Reads, define_op
from tracegraph.ops.core.dispatch import dispatch
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.graphs.nested import BodyMaker, Input, RecordedBody
from tracegraph.ops.graphs.recording import Recorder, Traced, recorder_of
from tracegraph.ops.kinds import Composite, HigherOrder
from tracegraph.ops.kinds.batching import Batch

#: of so many outputs, `backward_fn` is recorded for each subset that may have gradients
MAX_ABSENT = 3


def _scaled(g: Handle) -> tuple[Any, ...]:
    return (g * 3,)


def _mixed(g: Handle, h: Handle) -> tuple[Any, ...]:
    return g * h.sum(), None


def _first_if_any(g: Handle | None, h: Handle | None) -> tuple[Any, ...]:
    return (h if g is None else g * 2,)


@define_op
class CustomVjp(HigherOrder):
    """The tensors `outputs`, whose gradients are what `backward_fn` makes of them.

    `backward_fn(*gradients of the outputs)` returns a tuple with one gradient per tensor of `inputs`, None where there
    is none; it is made of differentiable operations. What it uses besides has no gradient, unless derivatives of
    gradients are taken. An output without a gradient has zeros; with `materialize=False`, None; `materialize` may list
    the positions of those that have zeros. As `jax.custom_vjp`, called when the results are known.

    Of what `backward_fn` uses besides, writes before backward are errors; with `versioned`, only those to the tensors
    that this lists, and all others are read as they are in backward.

    `outside`, asked when `backward_fn` has been recorded, gives what stands for the state of the program that it reads:
    `autograd.outside_state.OutsideState`. It becomes the last operand.

    With `is_hook`, `inputs` are `outputs`, and so are the results: whoever asks for their gradient gets what
    `backward_fn` makes of it.

    Raises:
        ArgumentError: `outputs` holds no tensor, or more than three that may be None.
        ControlFlowError: `backward_fn` cannot become a graph, or returns something else.
    """

    name = "custom_vjp"
    kind = Kind.CONTROL
    method = False
    recompute_cost = float("inf")
    gradient_is_slope = False
    reads_as = ("a saved tensor", "autograd.Function")
    signature = (
        "(outputs: any, inputs: any, backward_fn: any, materialize: any = True, is_hook: bool = False, "
        "versioned: any = None, outside: any = None)"
    )
    samples = samples(
        call([A((3, 4))], [A((3, 4))], _scaled),
        call([A((3,)), A((3,))], [A((3,)), A((2,))], _mixed),
        call([A((3,)), A((3,))], [A((3,))], _first_if_any, False),
    )

    def enter(
        self,
        record: BodyMaker,
        outputs: Sequence[Handle],
        inputs: Sequence[Handle],
        backward_fn: Callable[..., Any],
        materialize: bool | Sequence[int] = True,
        is_hook: bool = False,
        versioned: Sequence[Handle] | None = None,
        outside: Callable[[], Handle | None] | None = None,
    ) -> tuple[Handle, ...]:
        """The outputs with their new history; `record` makes a graph of `backward_fn`."""
        if not outputs or not all(map(is_tensor, (*outputs, *inputs))):
            raise ArgumentError("custom_vjp: outputs and inputs must be lists of tensors, and outputs not empty")
        optional = optional_outputs(len(outputs), materialize)
        if len(optional) > MAX_ABSENT:
            raise ArgumentError(f"custom_vjp: materialize=False with more than {MAX_ABSENT} outputs")
        outer, captured_from = _outside((*outputs, *inputs))
        bodies = {
            _body_name(present, len(outputs)): _record(record, outer, backward_fn, outputs, present, len(inputs))
            for present in _presences(len(outputs), optional)
        }
        used = dict.fromkeys(v for body in bodies.values() for v, p in body.captured.items() if p.users)
        results = [o.value if isinstance(o, Traced) else None for o in outputs]
        saved_results = [i for i, v in enumerate(results) if v in used]
        state = outside() if outside is not None else None
        saved = [v for v in used if v not in results] + ([] if state is None else [outer.inside(state).value])
        graphs = {n: _graph(b, [*(results[i] for i in saved_results), *saved]) for n, b in bodies.items()}
        first = len(outputs) + len(inputs)
        refused = saved if versioned is None else [t.value for t in versioned if isinstance(t, Traced)]
        unversioned = tuple(i for i, v in enumerate(saved, first) if v not in refused)
        requiring = frozenset[Value]().union(*(b.requiring for b in bodies.values()))
        attrs = {
            **graphs,
            "outputs": len(outputs),
            "inputs": len(inputs),
            "saved_results": tuple(saved_results),
            "sizes": sizes_of(graphs.values()),
            **({"materialized": materialize} if isinstance(materialize, tuple) and materialize else {}),
            **({"is_hook": True} if is_hook else {}),
            **({"unversioned": unversioned} if unversioned else {}),
            **({"reads_outside": True} if state is not None else {}),
        }
        packed = dispatch(self, (*outputs, *inputs, *(captured_from(v, v in requiring) for v in saved)), attrs)
        return packed if isinstance(packed, tuple) else (packed,)

    def check_call(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> None:
        # a node has the operands of its graphs, not the signature's; `infer` checks that they fit
        if not isinstance(attrs.get("backward"), Graph):
            raise IRError("custom_vjp: the attribute 'backward' must be a graph")
        for name in ("outputs", "inputs"):
            if not isinstance(attrs.get(name), int):
                raise IRError(f"custom_vjp: the attribute {name!r} must be a number of operands")

    def infer(self, *operands: Any, **attrs: Any) -> tuple[TensorType, ...]:
        count, end = attrs["outputs"], attrs["outputs"] + attrs["inputs"]
        outputs, inputs = operands[:count], operands[count:end]
        if not outputs or len(inputs) != attrs["inputs"]:
            raise IRError(f"custom_vjp: {len(operands)} operands for {count} outputs and {attrs['inputs']} inputs")
        read = (*(outputs[i] for i in attrs["saved_results"]), *operands[end:])
        for name, graph in _graphs(attrs).items():
            given = (*(outputs[i] for i in _present(name, count)), *read)
            taken = tuple(p.type for p in graph.placeholders)
            if given != taken:
                raise IRError(f"custom_vjp: {name} takes ({_listed(taken)}), is given ({_listed(given)})")
            found = [o.type if isinstance(o, Value) else o for o in graph.outputs]
            if len(found) != len(inputs) or any(f not in (None, i) for f, i in zip(found, inputs, strict=True)):
                raise IRError(f"custom_vjp: {name} gives ({_listed(found)}) for inputs ({_listed(inputs)})")
        if len(attrs["sizes"]) != len(symbols_of(_graphs(attrs).values())):
            raise IRError(f"custom_vjp: sizes must be the values of the size symbols, not {attrs['sizes']}")
        return tuple(outputs)

    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        return tuple(np.array(o, order="C") for o in operands[: attrs["outputs"]])

    def decompose(self, *operands: Handle, **attrs: Any) -> Any:
        return self.pack(operands[: attrs["outputs"]])

    def batched(self, batch: Batch) -> Any:
        return self(*batched_arguments(batch, _graphs(batch.attrs), _body_name))

    def hooked_operand(self, result: int, attrs: Mapping[str, Any]) -> int | None:
        return attrs["outputs"] + result if attrs.get("is_hook") else None

    def vjp(self, g: Any, y: Any, *operands: Handle, **attrs: Any) -> Gradient:
        count, end = attrs["outputs"], attrs["outputs"] + attrs["inputs"]
        cotangents, results = (g, y) if count > 1 else ((g,), (y,))
        if attrs.get("reads_outside") and hasattr(type(operands[-1]), "rebound"):  # else whoever has it has asked it
            rebound = operands[-1].rebound()
            operands = tuple(rebound.get(id(o), o) for o in operands)
        always = attrs.get("materialized", ())
        present = tuple(i for i, c in enumerate(cotangents) if c is not None or i in always)
        name = _body_name(present, count)
        if name not in attrs:
            name, present = "backward", tuple(range(count))
        if any(cotangents[i] is None for i in present):
            zeros = (F.zeros(tuple(o.shape), dtype=o.dtype) for o in operands[:count])
            cotangents = [z if c is None else c for c, z in zip(cotangents, zeros, strict=True)]
        read = (*(results[i] for i in attrs["saved_results"]), *operands[end:])
        runner = HandleRunner(attrs, operands[0])
        found = runner.module(name).run((*(cotangents[i] for i in present), *read), runner.sizes)
        return (*[None] * count, *found, *[None] * (len(operands) - end))

    def asks_presence(self, attrs: Mapping[str, Any]) -> bool:
        return len(_graphs(attrs)) > 1

    def unversioned_operands(self, attrs: Mapping[str, Any]) -> Collection[int]:
        return attrs.get("unversioned", ())

    def is_for_gradient_alone(self, position: int, attrs: Mapping[str, Any]) -> bool:
        return position >= attrs["outputs"]

    def gives_zeros_for_zeros(self, attrs: Mapping[str, Any]) -> bool:
        return False

    # ------------------------------------------------------------------------------------ what is read

    def vjp_reads(self, operands: int) -> Reads:
        """All of them may be read; which ones are, `pullback` tells."""
        return Reads((True,) * operands, True)

    def reads_operand(self, position: int, names: Collection[str]) -> bool:
        return f"operand{position}" in names

    @property
    def vjp_parameters(self) -> tuple[str, ...]:
        return ("results",)

    def pullback(
        self,
        cotangents: tuple[Handle | None, ...],
        results: tuple[Handle, ...],
        operands: tuple[Any, ...],
        attrs: dict[str, Any],
        needs: Sequence[bool],
        on_read: Callable[[Collection[str]], None] | None = None,
    ) -> tuple[Handle | None, ...]:
        if on_read is not None:
            saved = set(range(attrs["outputs"] + attrs["inputs"], len(operands)))
            saved.difference_update(self.unversioned_operands(attrs))
            on_read({f"operand{i}" for i in saved} | ({"results"} if attrs["saved_results"] else set()))
        return super().pullback(cotangents, results, operands, attrs, needs)


# --------------------------------------------------------------------------------------------- the backward graphs


def optional_outputs(outputs: int, materialize: bool | Sequence[int]) -> tuple[int, ...]:
    """The positions of the outputs that have None, not zeros, where they have no gradient."""
    always = range(outputs if materialize else 0) if isinstance(materialize, bool) else materialize
    return tuple(i for i in range(outputs) if i not in always)


def _presences(outputs: int, optional: Sequence[int]) -> list[tuple[int, ...]]:
    """The sets of outputs with a gradient that the function is recorded for."""
    always = set(range(outputs)).difference(optional)
    found = (always.union(some) for n in range(len(optional), -1, -1) for some in combinations(optional, n))
    return [tuple(sorted(present)) for present in found if present]


def _body_name(present: Sequence[int], outputs: int) -> str:
    """The attribute that holds the graph for gradients of these outputs: `backward`, `backward_of_0_2`."""
    return "backward" if len(present) == outputs else f"backward_of_{'_'.join(map(str, present))}"


def _present(name: str, outputs: int) -> Sequence[int]:
    return range(outputs) if name == "backward" else [int(i) for i in name.removeprefix("backward_of_").split("_")]


def _graphs(attrs: Mapping[str, Any]) -> dict[str, Graph]:
    return {name: attr for name, attr in attrs.items() if isinstance(attr, Graph)}


def _record(
    record: BodyMaker,
    outer: Recorder,
    backward_fn: Callable[..., Any],
    outputs: Sequence[Handle],
    present: Sequence[int],
    inputs: int,
) -> RecordedBody:
    """The function as a graph of the gradients of the outputs that are `present`."""

    def on_present(*given: Handle) -> Any:
        cotangents: list[Handle | None] = [None] * len(outputs)
        for i, cotangent in zip(present, given, strict=True):
            cotangents[i] = cotangent
        return backward_fn(*cotangents)

    # recorded as where gradients have gradients: what it does outside grad mode is marked
    mode, outer.grad_enabled = outer.grad_enabled, True
    try:
        types = (TensorType(outputs[i].dtype, tuple(outputs[i].shape)) for i in present)
        with not_casting():  # nor does a backward pass
            body = record(outer, "backward_fn", on_present, [Input(t, requires_grad=True) for t in types])
    finally:
        outer.grad_enabled = mode
    found = body.structure.items
    if len(found) != inputs or not all(part.is_tensor or part.is_none for part in found):
        raise ControlFlowError(f"custom_vjp: backward_fn must return a tuple of {inputs} tensors or None")
    return body


def _graph(body: RecordedBody, read: Sequence[Value | None]) -> Graph:
    """The graph of a body, which takes the gradients and then the values `read`; none where it gives no gradient."""
    rebuilder = Rebuilder(body.graph)
    for placeholder in body.graph.placeholders[: body.inputs]:
        rebuilder.copy(placeholder.node)
    for value in read:
        assert value is not None
        new = rebuilder.builder.placeholder(value.type)
        if value in body.captured:
            rebuilder.mapping[body.captured[value]] = new
    for node in body.graph.nodes[:-1]:
        if node.op != "placeholder":
            rebuilder.copy(node)
    leaves = map(rebuilder.operand, body.graph.outputs)
    outputs: list[Operand] = [next(leaves) if part.is_tensor else None for part in body.structure.items]
    rebuilder.builder.location = None
    return rebuilder.builder.output(*outputs)


def _outside(tensors: Sequence[Handle]) -> tuple[Recorder, Callable[[Value, bool], Handle]]:
    """What the function is recorded inside of, and what makes a handle of something captured there.

    Eager tensors are outside of any graph: one is made for the function to be recorded in.
    """
    if any(isinstance(t, Traced) for t in tensors):
        outer = recorder_of(tensors)
        return outer, outer.traced
    taken: dict[int, tuple[Value, Handle]] = {}
    builder = Builder("outside")

    def lift(tensor: Handle) -> Value:
        if id(tensor) not in taken:
            taken[id(tensor)] = builder.placeholder(TensorType(tensor.dtype, tuple(tensor.shape))), tensor
        return taken[id(tensor)][0]

    return Recorder(builder, lift), lambda value, _: next(t for v, t in taken.values() if v is value)


def _listed(types: Sequence[object]) -> str:
    return ", ".join(map(str, types))


# --------------------------------------------------------------------------------------------- parts


@define_op
class Undifferentiable(Composite):
    """The elements of `input`, for gradients that depend on `tensors`: differentiating them is an error.

    What `autograd.function.once_differentiable` makes of gradients.
    """

    method = False
    gradient_is_error = True
    signature = "(input: Tensor, tensors: Tensors)"
    shape_only = ("x", "tensors")
    samples = samples(call(A((3, 4)), [A((3,))], dtypes=dtypes.ALL), call(A(()), [A(()), A((2,))]))

    def decompose(self, x: Handle, *tensors: Handle) -> Handle:
        return x.detach().clone()

    def vjp(self, g: Handle, y: Handle, x: Handle, *tensors: Handle) -> Gradient:
        raise AutogradError("a gradient of a function whose backward is marked once_differentiable is differentiated")
