"""Every op whose arguments include a float, called with one that varies: two graphs serve all values.

Generated from the signatures and samples of the ops, so that nothing here names one, but for those whose float decides
on what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
from agreement import assert_agree
from captured import capture_of, specialisation_count
from op_cases import Call, all_ops, cases_of, flattened

import tracegraph as tg
from tracegraph.errors import TracegraphError
from tracegraph.ops.core.binding import Parameter
from tracegraph.ops.core.definition import Definition

#: tried in this order until eager execution takes them all; the third value brings the second graph
VALUES = ((0.3, 0.31, 0.32, 0.34), (1.25, 1.26, 1.28, 1.3), (6.25, 6.5, 6.75, 7.0))
SORTS = (
    "float",
    "OptionalFloat",
    "number",
    "OptionalNumberAttr",
    "Number",
    "OptionalNumber",
    "Scalar",
    "OptionalScalar",
)
#: a graph for each value: the float decides on what is computed, or the op has a gradient that no others compose to
DECIDING = {
    "unfold2d-fill", "kaiser_window-beta",
    "std-correction", "std_mean-correction", "var-correction", "var_mean-correction",
}  # fmt: skip


def float_parameters() -> Iterator[tuple[Definition, Parameter]]:
    for op in all_ops():
        yield from ((op, p) for p in op.binder.parameters[op.kind.name != "CREATION" :] if p.sort in SORTS)


def calls_with(op: Definition, parameter: Parameter) -> Iterator[tuple[Call, tuple[float, ...]]]:
    """Calls in which the parameter may be a float, and floats that eager execution takes."""
    position = op.binder.parameters.index(parameter)
    for case, dtype in cases_of(op):
        call = case.drawn(dtype)
        named = {p.name: a for p, a in zip(op.binder.parameters, call.args, strict=False)} | call.kwargs
        is_floating = all(tg.dtypes.from_numpy(a.dtype).is_floating for a in call.arrays[:1])
        if not is_floating or isinstance(named.get(parameter.name), np.ndarray | list):
            continue  # a float that becomes an integer decides which
        given = (*call.args[:position], None, *call.args[position + 1 :]) if len(call.args) > position else call.args
        for values in VALUES:
            try:
                for value in values:
                    with_value(Call(op, given, call.kwargs), parameter, value).eager()
            except (TracegraphError, ValueError, TypeError, OverflowError):
                continue
            yield Call(op, given, call.kwargs), values
            break


def with_value(call: Call, parameter: Parameter, value: Any) -> Call:
    position = call.op.binder.parameters.index(parameter)
    if len(call.args) > position:
        return Call(call.op, (*call.args[:position], value, *call.args[position + 1 :]), call.kwargs)
    return Call(call.op, call.args, {**call.kwargs, parameter.name: value})


def program_of(call: Call, name: str, position: int) -> Callable[..., Any]:
    """The call as a function of the float and the tensors."""
    op, count = call.op, len(call.args)
    sources = [isinstance(a, np.ndarray) for a in call.args]

    def program(value: float, *tensors: Any) -> Any:
        remaining = iter(tensors)
        args = [next(remaining) if is_array else a for a, is_array in zip(call.args, sources, strict=True)]
        kwargs = {k: next(remaining) if isinstance(v, np.ndarray) else v for k, v in call.kwargs.items()}
        if position < count:
            args[position] = value
        else:
            kwargs[name] = value
        return op(*args, **kwargs)

    return program


@pytest.mark.parametrize(("op", "parameter"), list(float_parameters()), ids=lambda part: part.name)
def test_two_graphs_serve_all_values(op: Definition, parameter: Parameter) -> None:
    for call, values in islice(calls_with(op, parameter), 1):
        program = program_of(call, parameter.name, op.binder.parameters.index(parameter))
        function = capture_of(program)
        for value in values:
            results = []
            for f in (program, function):
                tg.manual_seed(0)
                tensors = [tg.tensor(a) for a in call.arrays]
                results.append([r.detach().numpy() for r in flattened(f(value, *tensors))])
            for found, wanted in zip(*reversed(results), strict=True):
                assert_agree(found, wanted, f"{value}")
        reasons = [str(r) for _, r in function.family.recompiles] + [b.describe() for _, b in function.family.breaks]
        expected = len(values) if f"{op.name}-{parameter.name}" in DECIDING else 2
        assert specialisation_count(function) == expected, "\n".join(reasons)


def test_norms_whose_order_varies_have_the_gradient_of_the_op() -> None:
    function = capture_of(lambda x, p: tg.linalg.vector_norm(x, p, 1))
    for order in (2.5, 3.5, 1.5, 4.0, 0.5):
        given = [tg.tensor([[0.0, 0.0], [1.0, -2.0], [0.0, 3.0]], requires_grad=True) for _ in range(2)]
        found, wanted = function(given[0], order), tg.linalg.vector_norm(given[1], order, 1)
        (found * tg.tensor([1.0, 2.0, 3.0])).sum().backward()
        (wanted * tg.tensor([1.0, 2.0, 3.0])).sum().backward()
        assert_agree(found.detach().numpy(), wanted.detach().numpy(), f"{order}")
        assert_agree(given[0].grad.numpy(), given[1].grad.numpy(), f"gradient of {order}")
    assert specialisation_count(function) == 2
