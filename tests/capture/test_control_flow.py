"""cond, while_loop and scan in captured programs: one node each, or a break that changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from captured import capture_of, check, graphs_of, ramp
from programs.control_flow import disagrees, newton, piecewise, prints, recurrent, running_sum, scan_of_loops

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import family_of
from tracegraph.capture.reporting import break_reasons
from tracegraph.ir.subgraphs import subgraphs
from tracegraph.tensor import Tensor


def both() -> tuple[Callable[[], tuple[Any, ...]], ...]:
    """Arguments that take either branch of what asks for the sign of the sum."""
    return lambda: (ramp(),), lambda: (-ramp(),)


def control_nodes(function: Any) -> list[str]:
    return [n.call_op.name for g in graphs_of(function) for n in g.calls if subgraphs(n)]


# --------------------------------------------------------------------------------------------- one graph


def test_a_branch_is_one_node() -> None:
    function = check(piecewise, *both(), graphs=1, fullgraph=True)
    assert control_nodes(function) == ["cond"]


@pytest.mark.parametrize(
    "program", [piecewise, newton, running_sum, recurrent, scan_of_loops], ids=lambda f: f.__name__
)
def test_with_symbolic_sizes(program: Callable[..., Any]) -> None:
    function = check(program, lambda: (ramp(4, 3),), lambda: (-ramp(5, 3),), lambda: (ramp(7, 3),), dynamic=True)
    assert len(graphs_of(function)) == 1


def test_a_size_that_only_a_branch_mentions() -> None:
    def program(x: Tensor) -> Tensor:
        n = x.shape[0]
        return tg.cond(x.sum() > 0, lambda: tg.arange(n) * 2, lambda: tg.zeros(n, dtype=tg.int64))

    function = check(program, lambda: (ramp(4, 3),), lambda: (-ramp(5, 3),), dynamic=True, fullgraph=True)
    assert len(graphs_of(function)) == 1


def test_modules_and_parameters() -> None:
    cell, head = nn.GRUCell(3, 4), nn.Linear(4, 2)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = cell, head

        def forward(self, x: Tensor) -> Tensor:
            last, _ = tg.scan(lambda h, row: (self.cell(row, h), None), tg.zeros(4), x)
            return tg.cond(last.sum() > 0, self.head, lambda h: self.head(-h), (last,))

    check(Model(), *both(), graphs=1, fullgraph=True)


def test_a_number_that_varies() -> None:
    function = check(
        lambda x, rate: tg.cond(x.sum() > 0, lambda a: a * rate, lambda a: a / rate, (x,)),
        *(partial(lambda r: (ramp(), r), rate) for rate in (0.5, 0.25, 0.125, 3.0)),
        fullgraph=True,
    )
    assert len(graphs_of(function)) <= 2


# --------------------------------------------------------------------------------------------- breaks


def test_random_numbers_after_a_seed_in_the_trace_break() -> None:
    def program(x: Tensor) -> Tensor:
        tg.manual_seed(3)
        return tg.cond(x.sum() > 0, lambda a: a + tg.rand(3), lambda a: a, (x,)) + tg.rand(3)

    check(program, *both(), breaks=None)


def test_a_loop_on_what_requires_grad_breaks() -> None:
    def program(x: Tensor) -> Tensor:
        (y,) = tg.while_loop(lambda a: a.sum() < 100, lambda a: (a * 2,), (x * 1,))
        return y.sum()

    x = ramp(requires_grad=True)
    function = capture_of(program)
    function(x).backward()
    assert [stop.reason.id for _, stop in family_of(function).breaks] == ["control-flow"]
    assert x.grad is not None and x.grad.tolist() == [[8.0] * 3] * 2
    with tg.no_grad():
        check(program, lambda: (ramp(requires_grad=True),), fullgraph=True)


def test_a_break_names_the_function_and_the_line() -> None:
    function = capture_of(prints)
    function(ramp())
    ((_, stop),) = family_of(function).breaks
    assert stop.detail == "cond: true_fn: side-effect: print()"
    assert stop.location is not None and stop.location.line == prints.__code__.co_firstlineno + 3  # after the decorator


def test_both_types_are_named() -> None:
    with pytest.raises(tg.TracegraphError, match=r"true_fn gives f32\[\], false_fn gives f32\[2, 3\]"):
        capture_of(disagrees, fullgraph=True)(ramp())


def test_a_python_branch_on_a_tensor_is_advised_to_become_a_cond() -> None:
    assert "tracegraph.cond" in break_reasons.REASONS[break_reasons.DATA_DEPENDENT].hint
