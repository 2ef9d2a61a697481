"""Control flow on tensors: `cond`, `while_loop` and `scan`, and what in their functions breaks the graph."""

from __future__ import annotations

from collections import namedtuple
from functools import partial
from typing import Any

import tracegraph as tg
from programs import program
from tracegraph.tensor import Tensor, tensor

Pair = namedtuple("Pair", ["first", "second"])
SCALE = tensor([1.0, 2.0, 3.0])
CALLS: list[str] = []


@program()
def piecewise(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda a: a.sqrt(), lambda a: a * a, (x,))


@program()
def closures(x: Tensor) -> Tensor:
    y = x * 2
    scale = 3

    def positive(a: Tensor) -> Tensor:
        return a * SCALE + y * scale

    return tg.cond(x.sum() > 0, positive, lambda a: y - a, (x,)) + y


@program()
def keywords(x: Tensor) -> Tensor:
    return tg.cond(true_fn=partial(tg.mul, x), false_fn=lambda a: -a, operands=[x], pred=x.sum() > 0)


@program()
def without_operands(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda: x + 1, lambda: x - 1)


@program()
def number_condition(x: Tensor) -> Tensor:
    return tg.cond(x.sum(), lambda a: a + 1, lambda a: a - 1, (x,))


@program()
def structures(x: Tensor) -> Any:
    def swapped(pair: Pair, table: dict[str, Tensor]) -> dict[str, Any]:
        return {"pair": Pair(pair.second, pair.first), "rest": [table["k"], None, 7, "text"]}

    def added(pair: Pair, table: dict[str, Tensor]) -> dict[str, Any]:
        return {"pair": Pair(pair.first, pair.first + pair.second), "rest": [table["k"] * 2, None, 7, "text"]}

    return tg.cond(x.sum() > 0, swapped, added, (Pair(x, x * 2), {"k": x[0]}))


@program()
def nested(x: Tensor) -> Tensor:
    y = x.exp()

    def outer(a: Tensor) -> Tensor:
        return tg.cond(a.max() > 5, lambda b: b * y, lambda b: b / y, (a + 1,))

    return tg.cond(x.sum() > 0, outer, lambda a: a, (x,))


@program()
def decided_while_tracing(x: Tensor) -> Tensor:
    log = []
    y = tg.cond(x.ndim == 2, lambda a: log.append(1) or a * 2, lambda a: a, (x,))
    return y * len(log)


@program()
def written_inside(x: Tensor) -> Tensor:
    """A body may write to what it has made."""

    def filled(a: Tensor) -> Tensor:
        out = a * 1
        out[0] = 7
        out.add_(a)
        return out

    return tg.cond(x.sum() > 0, filled, lambda a: a, (x,))


@program()
def under_no_grad(x: Tensor) -> Tensor:
    def stopped(a: Tensor) -> Tensor:
        with tg.no_grad():
            factor = a.sum()
        return a * factor

    return tg.cond(x.sum() > 0, stopped, lambda a: a, (x,))


@program()
def newton(x: Tensor) -> Any:
    def better(step: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
        return step + 1, (root + x.abs() / root) / 2

    return tg.while_loop(lambda step, root: step < 8, better, (tensor(0), tg.ones_like(x)))


@program()
def power_iteration(x: Tensor) -> Any:
    """The largest eigenvalue of a symmetric matrix."""
    a = x.T @ x

    def improved(v: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        w = a @ v
        w = w / (w * w).sum().sqrt()
        return w, (w - v).abs().max()

    v, _ = tg.while_loop(lambda v, change: change > 1e-5, improved, (tg.ones(3), tensor(1.0)))
    return v @ a @ v


@program()
def loop_without_steps(x: Tensor) -> Any:
    (y,) = tg.while_loop(lambda a: a.sum() > 1e6, lambda a: (a * 2,), (x,))
    return y, y is x


@program()
def running_sum(x: Tensor) -> Any:
    return tg.scan(lambda carry, row: (carry + row, carry * row), tg.zeros(3), x)


@program()
def recurrent(x: Tensor) -> Any:
    w = x.T @ x / 50

    def step(state: dict[str, Tensor], row: Tensor) -> tuple[dict[str, Tensor], None]:
        return {"h": (state["h"] @ w + row).tanh(), "n": state["n"] + 1}, None

    return tg.scan(step, {"h": tg.zeros(3), "n": tensor(0)}, x, reverse=True)


@program()
def scanned_columns(x: Tensor) -> Any:
    return tg.scan(lambda carry, c: (carry * c, (carry, [c])), tg.ones(2), x, dim=1)


@program()
def running_maximum(x: Tensor) -> Any:
    offset = x[0]
    return tg.associative_scan(lambda a, b: a.maximum(b) + 0 * offset, x, dim=0)


@program()
def scan_of_loops(x: Tensor) -> Any:
    def step(carry: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        (halved,) = tg.while_loop(lambda a: a.sum() > 1, lambda a: (a / 2,), (row.abs(),))
        return tg.cond(carry.sum() > 1, lambda: carry - halved, lambda: carry + halved), halved

    return tg.scan(step, tg.zeros(3), x)


# --------------------------------------------------------------------------------------------- breaks


@program(breaks=("control-flow",))
def prints(x: Tensor) -> Tensor:
    def loud(a: Tensor) -> Tensor:
        print("positive")
        return a + 1

    return tg.cond(x.sum() > 0, loud, lambda a: a, (x,)) * 2


@program(breaks=("control-flow",))
def appends_outside(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda a: CALLS.append("call") or a + 1, lambda a: a, (x,))


@program(breaks=("control-flow",))
def appends_inside(x: Tensor) -> Any:
    log: list[Tensor] = []
    y = tg.cond(x.sum() > 0, lambda a: log.append(a) or a + 1, lambda a: a, (x,))
    return y, len(log)


@program(breaks=("control-flow",))
def counts(x: Tensor) -> Any:
    n = 0

    def counted(a: Tensor) -> Tensor:
        nonlocal n
        n += 1
        return a + n

    return tg.cond(x.sum() > 0, counted, lambda a: a, (x,)), n


class Record:
    seen = 0


@program(breaks=("control-flow",))
def sets_attribute(x: Tensor) -> Any:
    record = Record()

    def noted(a: Tensor) -> Tensor:
        record.seen = 1
        return a + 1

    return tg.cond(x.sum() > 0, noted, lambda a: a, (x,)), record.seen


@program(breaks=("control-flow",))
def changes_what_the_record_holds(x: Tensor) -> Any:
    table: dict[str, list[int]] = {"log": []}

    def noted(a: Tensor) -> Tensor:
        table["log"].append(1)
        return a + 1

    return tg.cond(x.sum() > 0, noted, lambda a: a, (x,)), table


@program(breaks=("control-flow", "opaque-iterator"))
def advances(x: Tensor) -> Any:
    numbers = iter([1, 2, 3])

    def taken(a: Tensor) -> Tensor:
        return a + next(numbers)

    return tg.cond(x.sum() > 0, taken, lambda a: a, (x,)), list(numbers)


@program(breaks=("control-flow",))
def writes_operand(x: Tensor) -> Tensor:
    y = x + 0
    return tg.cond(y.sum() > 0, lambda a: a.add_(1), lambda a: a * 2, (y,)) + y


@program(breaks=("control-flow",))
def writes_view_of_closure(x: Tensor) -> Tensor:
    y = x + 0

    def cleared(a: Tensor) -> Tensor:
        y[0].zero_()
        return a

    return tg.cond(x.sum() > 0, cleared, lambda a: a * 2, (x,)) + y


@program(breaks=("control-flow",))
def disagrees(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda a: a.sum(), lambda a: a, (x,))


@program(breaks=("control-flow",))
def raises_in_one(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda a: a + 1, lambda a: a @ tg.ones(7), (x.abs(),))


@program(breaks=("control-flow",))
def asks_for_elements(x: Tensor) -> Tensor:
    return tg.cond(x.sum() > 0, lambda a: a * a.sum().item(), lambda a: a, (x,))


@program(breaks=("control-flow",))
def leaves_grad_mode(x: Tensor) -> Any:
    def switching(a: Tensor) -> Tensor:
        tg.set_grad_enabled(False)
        return a + 1

    y = tg.cond(x.sum() > 0, switching, lambda a: a, (x,))
    mode = tg.is_grad_enabled()
    tg.set_grad_enabled(True)
    return y, mode


@program(breaks=("control-flow",))
def noisy_step(x: Tensor) -> Any:
    def step(carry: Tensor, row: Tensor) -> tuple[Tensor, None]:
        print("step")
        return carry + row, None

    return tg.scan(step, tg.zeros(3), x)
