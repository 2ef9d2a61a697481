"""What a program asserts of elements: checked in the graph, raised by the program itself."""

from __future__ import annotations

from captured import ramp

import tracegraph as tg
from programs import program


@program()
def asserts_positive(x):
    assert (x > 0).all(), f"not positive: {x.min():.1f}"
    return x.log()


@program()
def raises_for_nan(x):
    y = x.sqrt()
    if tg.isnan(y).any():
        raise ValueError("nan in " + ", ".join(str(n) for n in y.shape))
    return y


@program()
def raises_unless(x):
    if not (x.sum() > 0):
        raise RuntimeError("sum")
    assert x.amax() < 100
    return x * 2


@program()
def writes_before_it_asserts(x):
    x.add_(1)
    assert x.min() > 0
    return x


@program()
def asserts_inside_calls_and_with(x):
    def checked(y):
        with tg.no_grad():
            assert bool(y.shape) and y.abs().sum(), "empty"
            assert y.mean() > 0, "mean"
        return y

    return [checked(x), *[checked(x * k) for k in (1, 2)]]


@program()
def number_as_condition(x):
    kept = []
    kept.append(x.sum())
    assert x.mean() + 2.5
    return kept


@program(lambda: (ramp(),), lambda: (-ramp(),), breaks=("data-dependent",))
def handled_where_it_is_raised(x):
    try:
        if x.sum() < 0:
            raise ValueError("negative")
    except ValueError as e:
        return str(e)
    return x


@program(lambda: (ramp(),), lambda: (-ramp(),), breaks=("data-dependent",))
def handled_by_the_caller(x):
    def checked(y):
        assert y.sum() > 0
        return y

    try:
        return checked(x)
    except AssertionError:
        return -x


@program(lambda: (ramp(),), breaks=("data-dependent",))
def ends_a_loop_by_raising(x):
    try:
        while True:
            x = x * 0.5
            if x.sum() < 1:
                raise StopIteration
    except StopIteration:
        return x
