"""What must hold for every op, generated from the samples of its definition: nothing here names an op.

All executions agree with eager, and so does the decomposition; types are as inferred, with symbolic sizes too; the
text of the graph parses back; gradients are what finite differences give, on the tape and in the joint graph; memory
layout and extraordinary values make no difference. A test is an op, a case of it one of these CHECKS:

    pytest tests/test_every_op.py -k conv2d --case gradients
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
from agreement import assert_agree, has_zero_signs
from folded import folded
from golden import constants
from mapped_calls import MappedCall, mapped_calls
from op_cases import (
    Call,
    Case,
    Change,
    all_ops,
    cases_of,
    column_major,
    decomposed,
    dense,
    extraordinary,
    repeated,
    strided,
    symbolic_types,
    type_of,
)

import tracegraph as tg
from tracegraph import ir
from tracegraph.aot import differentiate
from tracegraph.autograd import grad
from tracegraph.compiler.options import Options
from tracegraph.compiler.pipeline import compile_graph, interpreted
from tracegraph.dtypes import DType
from tracegraph.errors import AutogradError, TracegraphError, VmapError
from tracegraph.ir import dim as dims
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.graph_module import GraphModule
from tracegraph.passes import optimise


@contextmanager
def about(*subject: object) -> Iterator[None]:
    """Name the case in a failure inside the block."""
    try:
        yield
    except Exception as e:
        e.add_note(f"case: {' '.join(map(str, subject))}")
        raise


def assert_same(found: Sequence[Any], wanted: Sequence[Any], what: str = "", zero_signs: bool = True) -> None:
    assert len(found) == len(wanted), what
    for position, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert_agree(np.asarray(a), np.asarray(b), f"{what}, result {position}", zero_signs)


@cache
def executed(case: Case, dtype: DType) -> dict[str, ir.Graph]:
    """The graphs that compute a call: as recorded, and after the optimising passes if it is without effects.

    Types are all that recording sees, so one graph is for arrays of all layouts and values.
    """
    graph = case.drawn(dtype).record()
    pure = all(node.is_pure for node in graph.nodes)
    return {"interpreted": graph, "optimised": ir.verify(optimise(graph)) if pure else graph}


def assert_executions_agree(case: Case, dtype: DType, change: Change | None = None) -> None:
    """Every execution of the recorded call gives the eager results. Each is given arrays of its own."""
    graphs = executed(case, dtype)
    if graphs["interpreted"].calls:  # else the call gave back its operand
        wanted, zero_signs = case.drawn(dtype, change).eager(), has_zero_signs(graphs["interpreted"])
        for name, graph in graphs.items():
            assert_same(ir.interpret(graph, *case.drawn(dtype, change).arrays), wanted, name, zero_signs)


def check_executions(op: Definition) -> None:
    for case, dtype in cases_of(op):
        with about(case, dtype):
            assert_executions_agree(case, dtype)


def check_decomposition(op: Definition) -> None:
    for case, dtype in cases_of(op) if op.decompose is not None else ():
        with about(case, dtype):
            graph = decomposed(executed(case, dtype)["interpreted"])
            assert_same(ir.interpret(graph, *case.drawn(dtype).arrays), case.drawn(dtype).eager())


def check_types_and_text(op: Definition) -> None:
    """Results have the types inferred, and are contiguous unless they are views; the text parses back."""
    for case, dtype in cases_of(op):
        with about(case, dtype):
            call, graph = case.drawn(dtype), executed(case, dtype)["interpreted"]
            assert str(ir.parse(str(graph), constants(graph))) == str(graph)
            actual = call.eager()
            assert [o.type for o in graph.outputs if isinstance(o, ir.Value)] == [type_of(a) for a in actual]
            for array in actual:
                assert array.flags.c_contiguous or any(np.may_share_memory(array, a) for a in call.arrays)


def check_symbolic_sizes(op: Definition) -> None:
    """Inference on symbolic sizes gives the shapes, and the graph computes with the sizes of its inputs."""
    for case in pure_cases(op):
        with about(case):
            call = case.drawn(case.dtype)
            env = ir.ShapeEnv()
            with env.active():
                graph = call.record(symbolic_types(call.arrays, env))
                assert str(ir.parse(str(graph), constants(graph))) == str(graph)
            wanted = call.eager()
            for output, actual in zip(graph.outputs, wanted, strict=True):
                assert isinstance(output, ir.Value)
                assert tuple(dims.evaluate(d, env.examples) for d in output.type.shape) == actual.shape
            assert_same(ir.interpret(graph, *call.arrays), wanted)


@cache
def pure_cases(op: Definition) -> list[Case]:
    """The cases of an op without effects, by the graph it records."""
    cases = list(dict.fromkeys(case for case, _ in cases_of(op)))
    return [c for c in cases if all(n.is_pure for n in executed(c, c.dtype)["interpreted"].nodes)]


# --------------------------------------------------------------------------------------------- inputs of all sorts


def check_layouts(op: Definition) -> None:
    """Inputs with gaps, reversed, in column-major order, repeated by strides of 0."""
    for case, layout in itertools.product(pure_cases(op)[:3], (strided, column_major, repeated)):
        with about(case, layout.__name__):
            try:
                found = case.drawn(case.dtype, layout).eager()
            except TracegraphError:
                continue  # a view of such memory does not exist
            assert_same(found, case.drawn(case.dtype, dense(layout)).eager())
            assert_executions_agree(case, case.dtype, layout)


def check_extraordinary_values(op: Definition) -> None:
    """nan, infinities, signed zeros and extreme numbers give in every execution what they give in eager."""
    pure = set(pure_cases(op)[:2])
    for case, dtype in cases_of(op):
        if case not in pure:
            continue
        with about(case, dtype):
            try:
                case.drawn(dtype, extraordinary).eager()
            except TracegraphError:
                continue  # not in the domain: a zero divisor, an index out of range
            assert_executions_agree(case, dtype, extraordinary)


# --------------------------------------------------------------------------------------------- gradients


def differentiable_cases(op: Definition) -> list[Case]:
    """Pure cases with float64 operands whose results' gradients may be compared with finite differences."""
    return [c for c in pure_cases(op) if c.sample.differentiable and tg.float64 in c.sample.dtypes]


def leaves(call: Call) -> list[tg.Tensor]:
    """The arrays as tensors; the floating ones require grad."""
    return [tg.Tensor(a, requires_grad=type_of(a).dtype.is_floating) for a in call.arrays]


def slope(call: Call, cotangents: Sequence[np.ndarray], directions: Sequence[np.ndarray], step: float) -> float:
    """Derivative of the results, weighted by the cotangents, along directions of the inputs; by central differences."""

    def weighted(t: float) -> float:
        moved = [np.asarray(a + t * d) if d.size else a for a, d in zip(call.arrays, directions, strict=True)]
        with tg.no_grad():
            results = [r for r in call.on_tensors([tg.Tensor(a) for a in moved]) if r.dtype.is_floating]
        return sum(float((r.numpy() * c).sum()) for r, c in zip(results, cotangents, strict=True))

    return (weighted(step) - weighted(-step)) / (2 * step)


def check_gradients(op: Definition) -> None:
    """The tape's gradients give the slopes of finite differences; the joint graph gives the same gradients."""
    if not op.is_differentiable or op.gradient_is_error:
        return
    compared = 0
    for case in differentiable_cases(op):
        with about(case):
            call = case.drawn(tg.float64)
            inputs = leaves(call)
            outputs = [o for o in call.on_tensors(inputs) if o.dtype.is_floating]
            if not outputs or not all(o.requires_grad for o in outputs):
                continue
            rng = np.random.default_rng(1)
            cotangents = [rng.standard_normal(o.shape).astype(o.dtype.np) for o in outputs]
            wanted = [t for t in inputs if t.requires_grad]
            gradients = grad(outputs, wanted, list(map(tg.Tensor, cotangents)), allow_unused=True)
            if op.gradient_is_slope:
                check_slopes(call, cotangents, inputs, gradients, rng)
            joint = differentiate(call.record(), [t.requires_grad for t in inputs])
            found = ir.interpret(ir.verify(joint.graph), *call.arrays, *cotangents)[joint.outputs :]
            by_input = dict(zip((i for i, t in enumerate(inputs) if t.requires_grad), gradients, strict=True))
            expected = [by_input[i] for i in joint.requiring]
            assert [g is None for g in found] == [g is None for g in expected]
            assert_same(
                [g for g in found if g is not None], [g.detach().numpy() for g in expected if g is not None], "joint"
            )
            compared += 1
    # what writes to an operand is recorded as a pure op and the write; what gives it other memory has tests of its own
    has_rule = op.vjp is not None and not op.changes_operands
    assert compared or not has_rule, "the op has a gradient rule and no sample that tests it"


def check_gradients_that_are_errors(op: Definition) -> None:
    for case in pure_cases(op) if op.gradient_is_error else ():
        with about(case):
            call = case.drawn(tg.float64)
            inputs = leaves(call)
            outputs = call.on_tensors(inputs)
            with pytest.raises(AutogradError):
                grad(outputs, inputs, list(map(tg.ones_like, outputs)))
            with pytest.raises(AutogradError):
                differentiate(call.record(), [t.requires_grad for t in inputs])


def check_derivatives_of_gradients(op: Definition) -> None:
    """Through a compiled graph as on the tape, by the inputs and by the cotangents."""
    if not op.is_differentiable or op.gradient_is_error:
        return
    for case in differentiable_cases(op)[:1]:
        with about(case):
            call = case.drawn(tg.float64)
            graph = call.record()
            compiled = compile_graph(graph, leaves(call), Options(strict=True), interpreted)
            if op.differentiable_once:
                for function in (compiled, GraphModule(graph, tg.Tensor)):
                    with pytest.raises(AutogradError, match="once only"):
                        second_derivatives(function, leaves(call))
                continue
            wanted = second_derivatives(GraphModule(graph, tg.Tensor), leaves(call))
            found = second_derivatives(compiled, leaves(call))
            assert [g is None for g in found] == [g is None for g in wanted]
            assert_same([g.numpy() for g in found if g is not None], [g.numpy() for g in wanted if g is not None])


def second_derivatives(function: Callable[..., Sequence[Any]], inputs: list[tg.Tensor]) -> list[tg.Tensor | None]:
    """Gradients of a function of the gradients."""
    outputs = [o for o in function(*inputs) if isinstance(o, tg.Tensor) and o.requires_grad]
    rng = np.random.default_rng(1)
    cotangents = [tg.Tensor(rng.standard_normal(o.shape).astype(o.dtype.np), requires_grad=True) for o in outputs]
    wanted = [t for t in inputs if t.requires_grad]
    first = grad(outputs, wanted, cotangents, create_graph=True, allow_unused=True) if outputs else ()
    sums = [(g * g.detach().sin()).sum().to(tg.float64) for g in first if g is not None and g.requires_grad]
    return list(grad(sums, [*wanted, *cotangents], allow_unused=True)) if sums else []


def check_slopes(
    call: Call,
    cotangents: Sequence[np.ndarray],
    inputs: Sequence[tg.Tensor],
    gradients: Sequence[tg.Tensor | None],
    rng: np.random.Generator,
) -> None:
    """Along random directions of an input, its gradient says what finite differences measure.

    The gradient None states that there is none (by definition, as for the class weights of a loss).
    """
    remaining = iter(gradients)
    of_input = [next(remaining) if t.requires_grad else None for t in inputs]
    for position, gradient in enumerate(of_input):
        if gradient is None or not gradient.numel():
            continue
        for _ in range(2):
            directions = [rng.standard_normal(t.shape) if i == position else np.zeros(0) for i, t in enumerate(inputs)]
            measured = slope(call, cotangents, directions, step=1e-6)
            stated = float((gradient.detach().numpy() * directions[position]).sum())
            assert stated == pytest.approx(measured, rel=1e-4, abs=1e-5), f"gradient of operand {position}"


def check_samples(op: Definition) -> None:
    """`vmap` gives what the op gives for one sample after another, and the gradients of that."""
    for case in dict.fromkeys(case for case, _ in cases_of(op)):
        for mapped in mapped_calls(case):
            with about(case, mapped.in_dims):
                check_mapped(mapped)


def check_mapped(mapped: MappedCall) -> None:
    op, sample = mapped.case.op, mapped.case.sample
    arrays = mapped.stacked()
    is_differentiable = sample.differentiable and mapped.dtype is tg.float32
    tensors = [tg.Tensor(a, requires_grad=is_differentiable and a.dtype == np.float32) for a in arrays]
    try:
        wanted = mapped.one_by_one(tensors)
    except TracegraphError:
        return  # not in the domain of all samples, or their results differ in shape
    try:
        found = mapped.at_once(tensors)
    except VmapError as error:
        is_written = mapped.in_dims[0] is None and "is the same for all samples" in str(error)
        if is_written or "depends on elements" in str(error):
            return
        raise
    for f, w in zip(found, wanted, strict=True):
        assert f.dtype is w.dtype and f.shape == w.shape
        assert_agree(f.detach().numpy(), w.detach().numpy(), "samples", op.zero_signs)
    roots = [(f, w) for f, w in zip(found, wanted, strict=True) if w.requires_grad]
    leaves = [t for t in tensors if t.requires_grad]
    if not roots or op.gradient_is_error:
        return
    assert all(f.requires_grad for f, _ in roots)
    cotangents = [tg.ones_like(w) * 0.5 for _, w in roots]
    gradients = (grad(list(r), leaves, cotangents, allow_unused=True) for r in zip(*roots, strict=True))
    for f, w in zip(*gradients, strict=True):
        assert (f is None) == (w is None) or not any(g.any() for g in (f, w) if g is not None)
        if f is not None and w is not None:
            assert_agree(f.numpy(), w.numpy(), "gradient of samples", zero_signs=False)


# --------------------------------------------------------------------------------------------- the tests

CHECKS: dict[str, Callable[[Definition], None]] = {
    "executions": check_executions,
    "decomposition": check_decomposition,
    "types and text": check_types_and_text,
    "symbolic sizes": check_symbolic_sizes,
    "layouts": check_layouts,
    "extraordinary values": check_extraordinary_values,
    "gradients": check_gradients,
    "gradients that are errors": check_gradients_that_are_errors,
    "derivatives of gradients": check_derivatives_of_gradients,
    "samples": check_samples,
}


@pytest.mark.parametrize("op", all_ops(), ids=lambda op: op.name)
@folded("check", CHECKS)
def test_op(op: Definition, check: str) -> None:
    CHECKS[check](op)
