"""cond, while_loop and scan in captured programs: one node each, or a break that changes nothing."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from captured import capture_of, check, graphs_of, ramp

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture import break_reasons
from tracegraph.capture.compiled_function import family_of
from tracegraph.ir.subgraphs import subgraphs
from tracegraph.tensor import Tensor, tensor

Pair = namedtuple("Pair", ["first", "second"])
SCALE = tensor([1.0, 2.0, 3.0])
CALLS: list[str] = []


def both() -> tuple[Callable[[], tuple[Any, ...]], ...]:
    """Arguments that take either branch of what asks for the sign of the sum."""
    return lambda: (ramp(),), lambda: (-ramp(),)


def control_nodes(function: Any) -> list[str]:
    return [n.call_op.name for g in graphs_of(function) for n in g.calls if subgraphs(n)]


# --------------------------------------------------------------------------------------------- one graph


def piecewise(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda a: a.sqrt(), lambda a: a * a, (x,))


def test_a_branch_is_one_node() -> None:
    function = check(piecewise, *both(), graphs=1, fullgraph=True)
    assert control_nodes(function) == ["cond"]


def closures(x: Tensor) -> Tensor:
    y = x * 2
    scale = 3

    def positive(a: Tensor) -> Tensor:
        return a * SCALE + y * scale

    return tg.cond(x.sum() > 0, positive, lambda a: y - a, (x,)) + y


def keywords(x: Tensor) -> Tensor:
    return tg.cond(true_fn=partial(tg.mul, x), false_fn=lambda a: -a, operands=[x], pred=x.sum() > 0)


def without_operands(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda: x + 1, lambda: x - 1)


def number_condition(x: Tensor) -> Tensor:
    return tg.cond(x.sum(), lambda a: a + 1, lambda a: a - 1, (x,))


def structures(x: Tensor) -> Any:
    def swapped(pair: Pair, table: dict[str, Tensor]) -> dict[str, Any]:
        return {"pair": Pair(pair.second, pair.first), "rest": [table["k"], None, 7, "text"]}

    def added(pair: Pair, table: dict[str, Tensor]) -> dict[str, Any]:
        return {"pair": Pair(pair.first, pair.first + pair.second), "rest": [table["k"] * 2, None, 7, "text"]}

    return tg.cond(x.sum() > 0, swapped, added, (Pair(x, x * 2), {"k": x[0]}))


def nested(x: Tensor) -> Tensor:
    y = x.exp()

    def outer(a: Tensor) -> Tensor:
        return tg.cond(a.max() > 5, lambda b: b * y, lambda b: b / y, (a + 1,))

    return tg.cond(x.sum() > 0, outer, lambda a: a, (x,))


def decided_while_tracing(x: Tensor) -> Tensor:
    log = []
    y = tg.cond(x.ndim == 2, lambda a: log.append(1) or a * 2, lambda a: a, (x,))
    return y * len(log)


def written_inside(x: Tensor) -> Tensor:
    """A body may write to what it has made."""

    def filled(a: Tensor) -> Tensor:
        out = a * 1
        out[0] = 7
        out.add_(a)
        return out

    return tg.cond(x.sum() > 0, filled, lambda a: a, (x,))


def under_no_grad(x: Tensor) -> Tensor:
    def stopped(a: Tensor) -> Tensor:
        with tg.no_grad():
            factor = a.sum()
        return a * factor

    return tg.cond(x.sum() > 0, stopped, lambda a: a, (x,))


def newton(x: Tensor) -> Any:
    def better(step: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
        return step + 1, (root + x.abs() / root) / 2

    return tg.while_loop(lambda step, root: step < 8, better, (tensor(0), tg.ones_like(x)))


def power_iteration(x: Tensor) -> Any:
    """The largest eigenvalue of a symmetric matrix."""
    a = x.T @ x

    def improved(v: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        w = a @ v
        w = w / (w * w).sum().sqrt()
        return w, (w - v).abs().max()

    v, _ = tg.while_loop(lambda v, change: change > 1e-5, improved, (tg.ones(3), tensor(1.0)))
    return v @ a @ v


def loop_without_steps(x: Tensor) -> Any:
    (y,) = tg.while_loop(lambda a: a.sum() > 1e6, lambda a: (a * 2,), (x,))
    return y, y is x


def running_sum(x: Tensor) -> Any:
    return tg.scan(lambda carry, row: (carry + row, carry * row), tg.zeros(3), x)


def recurrent(x: Tensor) -> Any:
    w = x.T @ x / 50

    def step(state: dict[str, Tensor], row: Tensor) -> tuple[dict[str, Tensor], None]:
        return {"h": (state["h"] @ w + row).tanh(), "n": state["n"] + 1}, None

    return tg.scan(step, {"h": tg.zeros(3), "n": tensor(0)}, x, reverse=True)


def scanned_columns(x: Tensor) -> Any:
    return tg.scan(lambda carry, c: (carry * c, (carry, [c])), tg.ones(2), x, dim=1)


def running_maximum(x: Tensor) -> Any:
    offset = x[0]
    return tg.associative_scan(lambda a, b: a.maximum(b) + 0 * offset, x, dim=0)


def scan_of_loops(x: Tensor) -> Any:
    def step(carry: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        (halved,) = tg.while_loop(lambda a: a.sum() > 1, lambda a: (a / 2,), (row.abs(),))
        return tg.cond(carry.sum() > 1, lambda: carry - halved, lambda: carry + halved), halved

    return tg.scan(step, tg.zeros(3), x)


@pytest.mark.parametrize(
    "program",
    [
        closures, keywords, without_operands, number_condition, structures, nested, decided_while_tracing,
        written_inside, under_no_grad, newton, power_iteration, loop_without_steps, running_sum, recurrent,
        scanned_columns, running_maximum, scan_of_loops,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_is_one_graph(program: Callable[..., Any]) -> None:
    check(program, *both(), graphs=1, fullgraph=True)


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


def prints(x: Tensor) -> Tensor:
    def loud(a: Tensor) -> Tensor:
        print("positive")
        return a + 1

    return tg.cond(x.sum() > 0, loud, lambda a: a, (x,)) * 2


def appends_outside(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda a: CALLS.append("call") or a + 1, lambda a: a, (x,))


def appends_inside(x: Tensor) -> Any:
    log: list[Tensor] = []
    y = tg.cond(x.sum() > 0, lambda a: log.append(a) or a + 1, lambda a: a, (x,))
    return y, len(log)


def counts(x: Tensor) -> Any:
    n = 0

    def counted(a: Tensor) -> Tensor:
        nonlocal n
        n += 1
        return a + n

    return tg.cond(x.sum() > 0, counted, lambda a: a, (x,)), n


class Record:
    seen = 0


def sets_attribute(x: Tensor) -> Any:
    record = Record()

    def noted(a: Tensor) -> Tensor:
        record.seen = 1
        return a + 1

    return tg.cond(x.sum() > 0, noted, lambda a: a, (x,)), record.seen


def changes_what_the_record_holds(x: Tensor) -> Any:
    table: dict[str, list[int]] = {"log": []}

    def noted(a: Tensor) -> Tensor:
        table["log"].append(1)
        return a + 1

    return tg.cond(x.sum() > 0, noted, lambda a: a, (x,)), table


def advances(x: Tensor) -> Any:
    numbers = iter([1, 2, 3])

    def taken(a: Tensor) -> Tensor:
        return a + next(numbers)

    return tg.cond(x.sum() > 0, taken, lambda a: a, (x,)), list(numbers)


def writes_operand(x: Tensor) -> Tensor:
    y = x + 0
    return tg.cond(y.sum() > 0, lambda a: a.add_(1), lambda a: a * 2, (y,)) + y


def writes_view_of_closure(x: Tensor) -> Tensor:
    y = x + 0

    def cleared(a: Tensor) -> Tensor:
        y[0].zero_()
        return a

    return tg.cond(x.sum() > 0, cleared, lambda a: a * 2, (x,)) + y


def disagrees(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda a: a.sum(), lambda a: a, (x,))


def raises_in_one(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda a: a + 1, lambda a: a @ tg.ones(7), (x.abs(),))


def asks_for_elements(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda a: a * a.sum().item(), lambda a: a, (x,))


def leaves_grad_mode(x: Tensor) -> Any:
    def switching(a: Tensor) -> Tensor:
        tg.set_grad_enabled(False)
        return a + 1

    y = tg.cond(x.sum() > 0, switching, lambda a: a, (x,))
    mode = tg.is_grad_enabled()
    tg.set_grad_enabled(True)
    return y, mode


def noisy_step(x: Tensor) -> Any:
    def step(carry: Tensor, row: Tensor) -> tuple[Tensor, None]:
        print("step")
        return carry + row, None

    return tg.scan(step, tg.zeros(3), x)


BREAKING = [
    prints, appends_outside, appends_inside, counts, sets_attribute, changes_what_the_record_holds, advances,
    writes_operand, writes_view_of_closure, disagrees, raises_in_one, asks_for_elements, leaves_grad_mode, noisy_step,
]  # fmt: skip


@pytest.mark.parametrize("program", BREAKING, ids=lambda f: f.__name__)
def test_breaks_where_a_branch_does_more(program: Callable[..., Any]) -> None:
    CALLS.clear()
    function = check(program, *both(), breaks=None)
    assert "control-flow" in {stop.reason.id for _, stop in family_of(function).breaks}


def test_random_numbers_in_a_branch_break() -> None:
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
    assert stop.location is not None and stop.location.line == prints.__code__.co_firstlineno + 2


def test_both_types_are_named() -> None:
    with pytest.raises(tg.TracegraphError, match=r"true_fn gives f32\[\], false_fn gives f32\[2, 3\]"):
        capture_of(disagrees, fullgraph=True)(ramp())


def test_a_python_branch_on_a_tensor_is_advised_to_become_a_cond() -> None:
    assert "tracegraph.cond" in break_reasons.REASONS[break_reasons.DATA_DEPENDENT].hint
