"""What programs ask of the process: the answer is part of the graph, and a change of it is seen."""

from __future__ import annotations

import contextvars
import gc
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from captured import assert_same, capture_of, family_of, observe, ramp

import tracegraph as tg
from tracegraph.tensor import Tensor

NAME = "TRACEGRAPH_TEST_VARIABLE"
LOGGER = logging.getLogger("tracegraph_test_questions")
LEVEL: contextvars.ContextVar[int] = contextvars.ContextVar("LEVEL", default=2)
UNSET: contextvars.ContextVar[int] = contextvars.ContextVar("UNSET")
LOCAL = threading.local()


class Counters(threading.local):
    """Counts of a thread, which hide those of the class."""

    count = 0

    def bump(self) -> int:
        self.count += 1
        return self.count


class Thing:
    scale = 2

    def method(self) -> int:
        return 1


def check_answers(program: Any, *changes: Callable[[], Any], breaks: tuple[str, ...] = ()) -> None:
    """Eager and captured agree before and after each change of the world."""
    captured = capture_of(program, recompile_limit=50)
    for change in (lambda: None, *changes):
        change()
        for _ in range(2):
            expected, actual = observe(program, (ramp(2),)), observe(captured, (ramp(2),))
            assert actual.error == expected.error
            assert actual.printed == expected.printed
            assert_same(actual.result, expected.result)
    assert tuple(dict.fromkeys(stop.reason.id for _, stop in family_of(captured).breaks)) == breaks


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    changes = (lambda: monkeypatch.setenv(NAME, "2"), lambda: monkeypatch.setenv(NAME, "3"))

    def gone() -> None:
        monkeypatch.delenv(NAME)

    def subscript(x: Tensor) -> Any:
        try:
            return x * int(os.environ[NAME])
        except KeyError:
            return x

    check_answers(lambda x: x * int(os.environ.get(NAME, "1")), *changes, gone)
    check_answers(lambda x: x * int(os.getenv(NAME, "1")), *changes, gone)
    check_answers(lambda x: x * 2 if NAME in os.environ else x, *changes, gone)
    check_answers(subscript, *changes, gone)
    check_answers(lambda x: x * len([n for n in os.environ if n.startswith(NAME)]), *changes, gone)
    check_answers(lambda x: x * int(os.environ.copy().get(NAME, "1")), *changes, gone)
    check_answers(lambda x: x * int((os.environ | {"OTHER": "2"}).get(NAME, "1")), *changes, gone)

    def writes(x: Tensor) -> Any:
        os.environ[NAME] = "4"
        return x * int(os.environ[NAME])

    check_answers(writes, *changes, gone, breaks=("side-effect",))


def test_levels_of_loggers(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    LOGGER.setLevel(logging.WARNING)
    others = logging.LoggerAdapter(LOGGER, {})

    def asks(x: Tensor) -> Any:
        return x * (2 if LOGGER.isEnabledFor(logging.DEBUG) else 3) * LOGGER.getEffectiveLevel()

    def silent(x: Tensor) -> Any:
        LOGGER.debug("x has shape %s", x.shape)
        LOGGER.log(logging.INFO, f"sum {x.shape}")
        logging.getLogger(LOGGER.name).info("again")
        others.debug("adapted")
        return x * 2

    check_answers(silent)
    captured = capture_of(silent)
    captured(ramp(2))
    caplog.clear()
    LOGGER.setLevel(logging.DEBUG)
    captured(ramp(2))
    assert [r.getMessage() for r in caplog.records] == [
        "x has shape tracegraph.Size([2])",
        "sum tracegraph.Size([2])",
        "again",
        "adapted",
    ]
    monkeypatch.setattr(LOGGER, "disabled", True)
    captured(ramp(2))
    assert len(caplog.records) == 4
    monkeypatch.setattr(LOGGER, "disabled", False)
    check_answers(
        asks,
        lambda: LOGGER.setLevel(logging.ERROR),
        lambda: LOGGER.setLevel(logging.DEBUG),
        lambda: logging.disable(logging.INFO),
        lambda: logging.disable(logging.NOTSET),
        lambda: LOGGER.setLevel(logging.NOTSET),
    )


def test_messages_of_the_root_logger() -> None:
    def program(x: Tensor) -> Any:
        logging.debug("hidden")
        return x * 2

    check_answers(program)


def test_loggers_that_the_function_changes(caplog: pytest.LogCaptureFixture) -> None:
    def program(x: Tensor) -> Any:
        LOGGER.disabled = True
        y = x * (2 if LOGGER.isEnabledFor(logging.ERROR) else 3)
        LOGGER.disabled = False
        return y

    check_answers(program, breaks=("side-effect",))

    def makes(x: Tensor) -> Any:
        return x * len(logging.getLogger("tracegraph_test_questions.made").name)

    captured = capture_of(makes)
    assert captured(ramp(1)).item() == len("tracegraph_test_questions.made")
    assert [stop.reason.id for _, stop in family_of(captured).breaks] == ["side-effect"]
    assert captured(ramp(1)).item() == len("tracegraph_test_questions.made")


def test_context_variables() -> None:
    def unset(x: Tensor) -> Any:
        try:
            return x * UNSET.get()
        except LookupError:
            return x * 5

    check_answers(lambda x: x * LEVEL.get(), lambda: LEVEL.set(3), lambda: LEVEL.set(4))
    check_answers(lambda x: x * UNSET.get(7))
    check_answers(unset, lambda: UNSET.set(3))

    def sets(x: Tensor) -> Any:
        token = LEVEL.set(9)
        y = x * LEVEL.get()
        LEVEL.reset(token)
        return y * LEVEL.get()

    check_answers(sets, breaks=("side-effect",))


def test_a_call_in_another_context_or_thread() -> None:
    captured = capture_of(lambda x: x * LEVEL.get() * getattr(LOCAL, "scale", 1) * len(threading.current_thread().name))
    context = contextvars.copy_context()
    context.run(LEVEL.set, 11)
    LEVEL.set(2)
    LOCAL.scale = 5
    results = []

    def other() -> None:
        LOCAL.scale = 7
        results.append(captured(ramp(1)).item())

    thread = threading.Thread(target=other, name="other name")
    for _ in range(2):
        here = len(threading.current_thread().name)
        assert captured(ramp(1)).item() == 2 * 5 * here
        assert context.run(captured, ramp(1)).item() == 11 * 5 * here
    thread.start()
    thread.join()
    assert results == [2 * 7 * len("other name")]


def test_attributes_of_a_thread() -> None:
    LOCAL.__dict__.clear()

    def writes(x: Tensor) -> Any:
        LOCAL.count = getattr(LOCAL, "count", 0) + 1
        return x * LOCAL.count

    captured = capture_of(writes)
    assert [captured(ramp(1)).item() for _ in range(3)] == [1, 2, 3]


def test_attributes_of_a_class_derived_from_thread_local_data() -> None:
    counters = Counters()
    captured = capture_of(lambda x: x * counters.bump(), fullgraph=True)
    results = [captured(ramp(1)).item() for _ in range(2)]

    def other() -> None:
        results.extend(captured(ramp(1)).item() for _ in range(2))
        counters.count = 10
        results.append(captured(ramp(1)).item())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert [*results, captured(ramp(1)).item()] == [1, 2, 1, 2, 11, 3]
    assert counters.count == 3
    assert LOCAL.count == 3
    check_answers(lambda x: x * 2 if hasattr(LOCAL, "scale") else x, lambda: setattr(LOCAL, "scale", 2))
    check_answers(lambda x: x * LOCAL.scale, lambda: setattr(LOCAL, "scale", 3))
    check_answers(lambda x: x * LOCAL.scale, lambda: delattr(LOCAL, "scale"), breaks=("exception",))


def test_threads() -> None:
    check_answers(lambda x: x * 2 if threading.current_thread() is threading.main_thread() else x)
    check_answers(lambda x: (x, threading.get_ident()))


def test_limits() -> None:
    limit = sys.getrecursionlimit()
    try:
        check_answers(lambda x: x * sys.getrecursionlimit(), lambda: sys.setrecursionlimit(limit + 10))
        check_answers(lambda x: x * 2 if gc.isenabled() else x, gc.disable)
    finally:
        sys.setrecursionlimit(limit)
        gc.enable()


def test_weak_references() -> None:
    held = [Thing()]
    reference = weakref.ref(held[0])

    def program(x: Tensor) -> Any:
        thing = reference()
        return x * thing.scale if thing is not None else x

    check_answers(program, lambda: setattr(held[0], "scale", 4), held.clear)
    thing = Thing()
    check_answers(lambda x: x * weakref.ref(thing)().scale)


def test_objects_that_die_in_the_function() -> None:
    class Holder:
        held: Any = None

    holder = Holder()
    weak: list[Any] = []

    def make() -> None:
        holder.held = Thing()
        weak[:] = [weakref.ref(holder.held)]

    def drops(x: Tensor) -> Any:
        before = weak[0]() is not None
        holder.held = None
        return x * before, weak[0]() is None

    captured = capture_of(drops)
    for function in (drops, captured, captured):
        make()
        assert function(ramp(1))[1] is True

    def drops_its_own(x: Tensor) -> Any:
        thing = Thing()
        seen = weakref.ref(thing)
        tg.compiler.graph_break()
        is_there = seen() is not None
        del thing
        return x * is_there, seen() is None

    check_answers(drops_its_own, breaks=("native-call", "graph-break"))


def test_mappings_of_weak_references() -> None:
    key, other = Thing(), Thing()
    table, things = weakref.WeakKeyDictionary({key: 2}), weakref.WeakValueDictionary({"a": key})
    members = weakref.WeakSet([key])

    check_answers(lambda x: x * table[key], lambda: table.update({key: 3}))
    check_answers(lambda x: x * table.get(other, 5), lambda: table.update({other: 7}), lambda: table.pop(other))
    check_answers(lambda x: (key in table, other in table, other in members, len(members)), lambda: members.add(other))
    check_answers(
        lambda x: x * things["a"].scale, lambda: things.update({"a": other}), lambda: setattr(other, "scale", 9)
    )


def test_dictionaries_of_classes() -> None:
    class Base:
        inherited = 1

    class Kind(Base):
        scale = 2

        @staticmethod
        def method() -> int:
            return 3

    def scale() -> Any:
        return setattr(Kind, "scale", Kind.scale + 1)

    check_answers(lambda x: x * Kind.__dict__["scale"], scale)
    check_answers(
        lambda x: x * vars(Kind).get("scale", 1) * vars(Kind).get("more", 5), scale, lambda: setattr(Kind, "more", 7)
    )
    check_answers(lambda x: x * type(Kind()).__dict__["scale"], scale)
    check_answers(
        lambda x: ("method" in vars(Kind), "inherited" in Kind.__dict__, "x" in vars(Kind)),
        lambda: delattr(Kind, "more"),
    )
    check_answers(lambda x: [n for n in vars(Kind) if not n.startswith("_")], lambda: setattr(Kind, "later", 1))
    check_answers(lambda x: x * sum(v for v in vars(Kind).values() if isinstance(v, int)), scale)
    check_answers(
        lambda x: [type(v).__name__ for n, v in vars(Kind).items() if n[0] != "_"], lambda: delattr(Kind, "later")
    )
    check_answers(lambda x: isinstance(Kind.__dict__["method"], staticmethod))

    def writes(x: Tensor) -> Any:
        Kind.scale = 40
        y = x * Kind.__dict__["scale"]
        try:
            Kind.__dict__["scale"] = 50
        except TypeError as error:
            return y, str(error), len([n for n in Kind.__dict__ if n == "scale"])

    check_answers(writes)
    check_answers(lambda x: Kind.__dict__["scale"] + len(dict(Kind.__dict__)))
