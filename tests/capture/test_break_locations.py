"""Where a break is said to be: at the first cause, on a line of the user's."""

from __future__ import annotations

import contextlib

import pytest
from captured import capture_of, ramp

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import family_of
from tracegraph.errors import CaptureError


def first_break(function, *args):
    """The first break of a call, and the line it is said to be on, counted from the first of this file."""
    compiled = capture_of(function)
    with contextlib.redirect_stdout(None):
        compiled(*args)
    _, stop = family_of(compiled).breaks[0]
    assert stop.location.file == __file__, stop.describe()
    return stop, stop.location.line


def line_of(text):
    """The line of this file that has the comment `text`."""
    with open(__file__) as lines:
        return next(n for n, line in enumerate(lines, 1) if line.rstrip().endswith(f"# {text}"))


def rows(x):
    for i in range(2):
        print(i)  # in a generator function
        yield x * i


def in_a_generator_function(x):
    return tg.stack(list(rows(x)))


def in_a_generator_expression(x):
    return sum(
        x * v
        for v in range(3)
        if x.sum().item() > v  # in a generator expression
    )


def delegated(x):
    yield from rows(x)


def in_a_delegated_generator(x):
    return max(delegated(x), key=lambda t: 1)


@contextlib.contextmanager
def scope():
    print("enter")  # in a context manager
    yield 2


def in_a_context_manager(x):
    with scope() as factor:
        return x * factor


def beside_a_suspended_generator(x):
    counts = (i for i in range(3))
    y = x * next(counts)
    print("mid")  # beside a suspended generator
    return y * next(counts)


def beside_a_class_of_its_own(x):
    class Local:
        factor = 2

    print("made")  # beside a class of its own
    return x * Local.factor


@pytest.mark.parametrize(
    ("function", "place", "reason"),
    [
        (in_a_generator_function, "in a generator function", "side-effect"),
        (in_a_generator_expression, "in a generator expression", "data-dependent"),
        (in_a_delegated_generator, "in a generator function", "side-effect"),
        (in_a_context_manager, "in a context manager", "side-effect"),
        (beside_a_suspended_generator, "beside a suspended generator", "side-effect"),
        (beside_a_class_of_its_own, "beside a class of its own", "side-effect"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_first_cause_is_named(function, place, reason):
    stop, line = first_break(function, ramp())
    assert (stop.reason.id, line) == (reason, line_of(place))
    assert "cannot be carried over it, so the graph ends earlier" in stop.detail
    with pytest.raises(CaptureError, match=rf"{reason} at {__file__}:{line_of(place)}"):
        capture_of(function, fullgraph=True)(ramp())


def test_what_cannot_be_returned_is_at_the_line_that_returns_it():
    def f(x):
        y = x * 2
        return (row for row in y)  # returns a generator

    stop, line = first_break(f, ramp())
    assert (stop.reason.id, line) == ("not-reconstructible", line_of("returns a generator"))


def talking(module, args, output):
    print("called")  # in a hook
    return output * 2


def test_a_hook_of_the_entry_module():
    net = nn.Linear(3, 3)
    net.register_forward_hook(talking)
    stop, line = first_break(net, ramp())
    assert (stop.reason.id, line) == ("side-effect", line_of("in a hook"))


def test_a_break_in_the_library_is_at_the_line_that_calls_it():
    net = nn.Linear(3, 3)
    net.register_full_backward_hook(lambda module, grad_input, grad_output: (None, None))
    compiled = capture_of(net)
    compiled(ramp(requires_grad=True))  # calls a module
    _, stop = family_of(compiled).breaks[0]
    assert (stop.location.file, stop.location.line) == (__file__, line_of("calls a module"))


def test_generators_and_writes_to_shared_memory():
    def produce(x):  # a generator function
        yield x * 2

    def write(x, y):
        x = x * 1 + x
        y.add_(1)  # writes
        return x

    stop, line = first_break(produce, ramp())
    assert (stop.reason.id, line) == ("generator", line_of("a generator function"))
    base = ramp(4)
    stop, line = first_break(write, base, base.view(tg.int32))
    assert (stop.reason.id, line) == ("aliased-inputs", line_of("writes"))
