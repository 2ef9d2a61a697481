"""Exceptions that leave captured functions: type, message, and the user's lines of the traceback, as in eager."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from captured import capture_of, ramp

CASES: dict[str, Callable[[Any], Any]] = {}


def case(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    CASES[function.__name__] = function
    return function


def fail(v):
    raise ValueError(f"bad {v}")


def noisy(v):
    print("noisy")
    return fail(v)


def parsed(text):
    return int(text)


@case
def directly(x):
    y = x * 2
    raise RuntimeError("direct")
    return y


@case
def in_callee(x):
    y = x * 2
    return y + fail(3)


@case
def after_break(x):
    y = x * 2
    print("before")
    z = y + 1
    return fail(4) + z


@case
def in_broken_callee(x):
    y = x + 1
    w = noisy(5)
    return y + w


@case
def by_the_broken_instruction(x):
    y = x + 1
    n = parsed(f"not a number {y.sum().item()}")
    return y * n


@case
def by_a_broken_operator(x):
    y = x.sum().item()
    return x * (y + "a")


@case
def in_try_with_other_handler(x):
    try:
        y = x * 2
        print("inside")
        fail(6)
    except KeyError:
        return y
    return x


@case
def in_try_finally(x):
    try:
        n = int(f"x{x.sum().item()}")
    finally:
        print("finally")
    return x * n


@case
def in_with_block(x):
    with warnings.catch_warnings():
        print("in with")
        y = x * 2
        fail(y.shape)
    return y


@case
def raised_again(x):
    try:
        fail(7)
    except ValueError as e:
        print("caught")
        raise KeyError("other") from e
    return x


@case
def from_an_operation(x):
    y = x + 1
    return y @ y


@case
def from_an_operation_after_break(x):
    y = x + 1
    print("go")
    return y @ y


@case
def assertion(x):
    assert x.shape[0] == 7, f"rows: {x.shape[0]}"
    return x


@case
def in_comprehension(x):
    return [fail(i) for i in range(2)]


@case
def in_generator(x):
    def rows():
        yield x
        fail("row")

    return list(rows())


@case
def in_loop_after_breaks(x):
    for i in range(4):
        print(i)
        if i == 2:
            fail(i)
    return x


@case
def attribute_of_none(x):
    y = x * 2
    none = None
    return y + none.missing


@case
def wrong_arguments(x):
    return noisy(x, 1)


@case
def missing_key(x):
    table = {"a": x}
    return table["b"]


def user_lines(error: BaseException) -> list[tuple[str, int | None, str]]:
    """The entries of the traceback that lie in this file, but for the test itself."""
    frames = traceback.extract_tb(error.__traceback__)
    return [(f.filename, f.lineno, f.name) for f in frames if f.filename == __file__ and f.name != "raised_by"]


def raised_by(function: Callable[[Any], Any]) -> BaseException:
    try:
        function(ramp())
    except Exception as e:
        return e
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("name", CASES)
def test_traceback_has_the_lines_of_eager(name: str) -> None:
    expected = raised_by(CASES[name])
    compiled = capture_of(CASES[name])
    for _ in range(2):
        actual = raised_by(compiled)
        assert (type(actual), str(actual)) == (type(expected), str(expected))
        assert user_lines(actual) == user_lines(expected)
        for link in ("__cause__", "__context__"):
            theirs, ours = getattr(expected, link), getattr(actual, link)
            assert type(ours) is type(theirs), link
            if theirs is not None:
                assert user_lines(ours) == user_lines(theirs)


def test_warning_of_a_broken_call_points_at_the_line() -> None:
    def warns(x):
        y = x * 2
        warnings.warn("look here", stacklevel=1)
        return y

    with pytest.warns(UserWarning, match="look here") as eager:
        warns(ramp())
    with pytest.warns(UserWarning, match="look here") as captured:
        capture_of(warns)(ramp())
    assert (captured[0].filename, captured[0].lineno) == (eager[0].filename, eager[0].lineno)


# ------------------------------------------------------------------------------------------ frames of the library


def library_frames(error: BaseException) -> list[str]:
    entries = traceback.extract_tb(error.__traceback__)
    return [f.name for f in entries if "tracegraph" in Path(f.filename).parts and "capture" in Path(f.filename).parts
            and f.filename != __file__]  # fmt: skip


def test_one_frame_of_the_machinery_is_left() -> None:
    error = raised_by(capture_of(in_broken_callee))
    assert library_frames(error) == ["__call__"]


def test_all_frames_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEGRAPH_FULL_TRACEBACK", "1")
    error = raised_by(capture_of(in_broken_callee))
    assert len(library_frames(error)) > 3
    assert user_lines(error) == user_lines(raised_by(in_broken_callee))


# ------------------------------------------------------------------------------------------ what looks at frames

LOOKS: dict[str, Callable[[Any], Any]] = {}


def look(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    LOOKS[function.__name__] = function
    return function


def lines_here(entries: Any) -> list[tuple[int | None, str]]:
    return [(f.lineno, f.name) for f in entries if f.filename == __file__ and f.name in LOOKS]


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append((record.filename, record.lineno, record.funcName, record.getMessage()))


RECORDS = Records()
LOGGER = logging.getLogger("test_tracebacks")
LOGGER.addHandler(RECORDS)
LOGGER.setLevel(logging.INFO)
LOGGER.propagate = False


def deprecated(x):
    warnings.warn("use another", DeprecationWarning, stacklevel=2)
    return x


@look
def warning_of_a_callee(x):
    y = x * 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        deprecated(y)
        warnings.warn("here", stacklevel=1)
    return [(w.filename, w.lineno, w.category) for w in caught]


@look
def logger(x):
    RECORDS.seen.clear()
    y = x * 2
    LOGGER.info("rows: %s", y.shape[0])
    z = y + 1
    LOGGER.warning("again %s", z.shape)
    return list(RECORDS.seen)


@look
def stack_of_a_callee(x):
    y = x * 2
    return extracted(), y.shape


def extracted():
    return lines_here(traceback.extract_stack())


@look
def own_stack(x):
    y = x * 2
    frames = inspect.stack()
    return [(f.lineno, sorted(f.frame.f_locals)) for f in frames if f.function == "own_stack"], y.shape


@look
def traceback_of_a_caught_exception(x):
    y = x * 2
    try:
        {}["k"]
    except KeyError as e:
        entry = e.__traceback__
    return lines_here(traceback.extract_tb(entry)), y.shape


@look
def stored_exception(x):
    kept = None
    try:
        raise ValueError("kept")
    except ValueError as e:
        kept = e
    return lines_here(traceback.extract_tb(kept.__traceback__)), x * 2


@look
def exc_info(x):
    y = x * 2
    try:
        {}["k"]
    except KeyError:
        return lines_here(traceback.extract_tb(sys.exc_info()[2])), y.shape


class Swallows:
    def __enter__(self):
        return self

    def __exit__(self, kind, value, entry):
        self.seen = None if entry is None else lines_here(traceback.extract_tb(entry))
        return True


@look
def traceback_of_a_with_block(x):
    manager = Swallows()
    with manager:
        y = x * 2
        {}["k"]
    return manager.seen, y.shape


@pytest.mark.parametrize("name", LOOKS)
def test_frames_that_the_program_looks_at(name: str) -> None:
    expected = LOOKS[name](ramp())
    compiled = capture_of(LOOKS[name])
    for _ in range(2):
        assert str(compiled(ramp())) == str(expected)


def test_a_returned_exception_has_its_traceback() -> None:
    def collects(x):
        errors = []
        for key in ("a", "b"):
            try:
                {}[key]
            except KeyError as e:
                errors.append(e)
        return x * 2, errors

    for function in (collects, capture_of(collects)):
        _, errors = function(ramp())
        places = [[f.lineno for f in traceback.extract_tb(e.__traceback__)] for e in errors]
        assert places == [[collects.__code__.co_firstlineno + 4]] * 2


def test_breakpoint_stops_in_the_users_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def hook():
        frame = sys._getframe(1)
        seen.append((frame.f_lineno, sorted(frame.f_locals)))

    monkeypatch.setattr(sys, "breakpointhook", hook)

    def stops(x):
        y = x * 2
        breakpoint()  # noqa: T100 - what is tested
        return y

    capture_of(stops)(ramp())
    assert seen == [(stops.__code__.co_firstlineno + 2, ["x", "y"])]


def test_what_follows_lines_sees_lines_of_the_function_only() -> None:
    def talks(x):
        y = x * 2
        print("break")
        return y + 1

    seen = set()

    def trace(frame, event, arg):
        if frame.f_code.co_filename == __file__ and frame.f_code is not talks.__code__:
            seen.add((frame.f_code.co_name, frame.f_lineno))
        return trace

    compiled = capture_of(talks)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        compiled(ramp())
    finally:
        sys.settrace(before)
    first = talks.__code__.co_firstlineno
    assert seen == {("talks", first), ("talks", first + 2), ("talks", first + 3)}


def test_an_interrupt_of_the_broken_call_comes_from_its_line() -> None:
    class Interrupts:
        def __repr__(self):
            raise KeyboardInterrupt

    def program(x, log):
        y = x * 2
        log.append("before")
        print(Interrupts())
        log.append("after")
        return y

    compiled = capture_of(program)
    for function in (program, compiled, compiled):
        log = []
        with pytest.raises(KeyboardInterrupt) as caught:
            function(ramp(), log)
        frames = [(f.name, f.lineno) for f in traceback.extract_tb(caught.value.__traceback__)]
        assert ("program", program.__code__.co_firstlineno + 3) in frames
        assert log == ["before"]


def test_a_handler_sees_the_lines_of_a_broken_callee() -> None:
    def program(x):
        found = []
        for function in (lambda: noisy(1), functools.partial(noisy, 2), lambda: time.sleep("text")):
            try:
                function()
            except (ValueError, TypeError) as error:
                found.append([(f.name, f.lineno) for f in traceback.extract_tb(error.__traceback__)])
        return x * 2, found

    assert capture_of(program)(ramp())[1] == program(ramp())[1]
