"""Settings of thread and process: precision, grad and inference mode, default dtype, determinism."""

from __future__ import annotations

from typing import Any

from captured import ramp

import tracegraph as tg
from programs import program
from tracegraph.tensor import Tensor


def square(requires_grad: bool = False) -> Tensor:
    return ramp(3, 3, requires_grad=requires_grad)


def one() -> tuple[Any, ...]:
    return (square(),)


@program(one)
def autocast_in_part(x: Tensor) -> Any:
    before = x @ x
    with tg.autocast("cpu", dtype=tg.bfloat16):
        low = x @ x
        kept = low + x
    return before, low, kept, x @ x, tg.is_autocast_enabled()


@program(one)
def autocast_off_inside(x: Tensor) -> Any:
    with tg.autocast("cpu", dtype=tg.float16):
        a = x @ x
        with tg.autocast("cpu", enabled=False):
            b = x @ x
        return a, b, x @ x, tg.get_autocast_dtype("cpu")


@tg.autocast("cpu", dtype=tg.bfloat16)
def low(x: Tensor) -> Tensor:
    return x @ x


@program(one)
def autocast_as_decorator(x: Tensor) -> Any:
    return low(x), x @ x


@program(one, breaks=("side-effect",))
def break_inside_autocast(x: Tensor) -> Any:
    with tg.autocast("cpu", dtype=tg.bfloat16):
        y = x @ x
        print("inside", tg.is_autocast_enabled())
        z = x @ x
    return y, z, x @ x


@program(one, breaks=("side-effect",))
def break_inside_several(x: Tensor) -> Any:
    with tg.autocast("cpu", dtype=tg.bfloat16), tg.no_grad(), tg.inference_mode():
        print(tg.is_autocast_enabled(), tg.is_grad_enabled(), tg.is_inference_mode_enabled())
        y = x @ x
    return y, tg.is_autocast_enabled(), tg.is_grad_enabled(), tg.is_inference_mode_enabled()


@program(one, breaks=None)
def exception_leaves_autocast(x: Tensor) -> Any:
    try:
        with tg.autocast("cpu", dtype=tg.bfloat16), tg.inference_mode():
            y = x @ x
            raise ValueError("left")
    except ValueError as e:
        return y, str(e), x @ x, tg.is_autocast_enabled(), tg.is_grad_enabled()


@program(one, breaks=None)
def exception_leaves_autocast_after_a_break(x: Tensor) -> Any:
    try:
        with tg.autocast("cpu", dtype=tg.bfloat16):
            print("before")
            y = x @ x
            int("no number")
    except ValueError as e:
        return y, str(e), x @ x, tg.is_autocast_enabled()


@program(one)
def autocast_asked(x: Tensor) -> Any:
    return x @ x if tg.is_autocast_enabled("cpu") else x.half()


@program(lambda: (square(True),))
def inference(x: Tensor) -> Any:
    with tg.inference_mode():
        y = x * 2
        inside = tg.is_inference_mode_enabled(), tg.is_grad_enabled()
        with tg.inference_mode(False):
            z = x * 3
    return y, z, inside, tg.is_inference_mode_enabled()


@program(lambda: (square(True),))
def grad_mode_as_function(x: Tensor) -> Any:
    tg.set_grad_enabled(False)
    y = x * 2
    tg.set_grad_enabled(True)
    with tg.set_grad_enabled(False):
        z = x * 2
    return y, z, x * 2


@program(one)
def default_dtype(x: Tensor) -> Any:
    before = tg.get_default_dtype()
    tg.set_default_dtype(tg.float64)
    try:
        n = tg.arange(3)
        made = tg.ones(2), n / 2, tg.get_default_dtype(), n.sqrt(), n * 0.5, tg.tensor(0.5), tg.full((2,), 0.1), x * 0.1
        drawn = tg.rand(2, generator=tg.Generator().manual_seed(1)), tg.linspace(0, 1, 4), (n > 1) * 2.5
        more = tg.where(n > 1, n, 0.25), n.float() / 3, tg.stack([n / 3, tg.zeros(3)]), n.sin().sum(), n.clamp(0.5)
        chosen = tg.cond(x.sum() > 0, lambda: n / 3, lambda: n * 0.5)
    finally:
        tg.set_default_dtype(before)
    return made, drawn, more, chosen, tg.ones(2), n / 2, x


@program(one)
def deterministic(x: Tensor) -> Any:
    wanted = tg.are_deterministic_algorithms_enabled()
    tg.use_deterministic_algorithms(True)
    inside = tg.are_deterministic_algorithms_enabled()
    tg.use_deterministic_algorithms(wanted)
    return (x * 2 if wanted else x), inside
