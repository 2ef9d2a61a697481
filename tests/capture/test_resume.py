"""Resumed functions: every program, broken at every one of its instructions in turn."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import CellType

import pytest
from captured import assert_same, capture_of, observe, ramp
from folded import folded
from programs import PROGRAMS, load, subject

from tracegraph.capture.bytecode.decode import decode
from tracegraph.capture.drivers.resume import run_resumed
from tracegraph.capture.drivers.units import Unit
from tracegraph.capture.reporting.break_reasons import USER_BREAK
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.trace import tracer

load()

#: every instruction of short functions, a sample of the rest of long ones
_STEPS = (*range(1, 20), *range(20, 400, 5))
#: the programs that are tried at all of these; the others at a few, always the same
_THOROUGH = ("breaks.", "unwinding.", "functions.", "classes.", "raising.")
#: results of these can be looked at only once
_SINGLE_USE = {"breaks.return_gen", "breaks.return_map"}


@contextmanager
def breaking_at(monkeypatch: pytest.MonkeyPatch, step: int, extent: Extent) -> Iterator[list[bool]]:
    """Break the outermost function at its `step`th instruction; the list tells whether it came to that."""
    original = tracer.Tracer.tick
    hit: list[bool] = []

    def tick(self: tracer.Tracer, is_root: bool) -> None:
        is_first = is_root and self.stop_at is None and "resumed" not in self.name
        if is_first and self.step + 1 == step:
            self.step += 1
            hit.append(True)
            raise Break(USER_BREAK, "for the test", extent)
        original(self, is_root)

    with monkeypatch.context() as patch:
        patch.setattr(tracer.Tracer, "tick", tick)
        yield hit


def _steps(name: str) -> Iterator[int]:
    """Steps to break at, in order."""
    if name.startswith(_THOROUGH):
        return iter(_STEPS)
    return iter(sorted(random.Random(name).sample(_STEPS[:40], 6)))


@pytest.mark.parametrize("extent", [Extent.REST, Extent.INSTRUCTION])
@folded("name", sorted(set(PROGRAMS) - _SINGLE_USE), by=subject)
def test_break_anywhere(name: str, extent: Extent, monkeypatch: pytest.MonkeyPatch) -> None:
    program = PROGRAMS[name]
    make = program.make_args[0]
    expected = observe(program.function, make())
    for step in _steps(name):
        function = capture_of(program.function)
        with breaking_at(monkeypatch, step, extent) as hit, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            actual = observe(function, make())
        assert actual.error == expected.error, step
        assert actual.printed == expected.printed, step
        assert_same(actual.result, expected.result)
        assert_same(actual.args, expected.args)
        if not hit:
            break


def sample(x, *rest, key=1, **more):
    total = key

    def add(n):
        nonlocal total
        total += n
        return total

    try:
        for item in rest:
            add(item)
    finally:
        total += len(more)
    return x, total, sorted(more)


def test_prologue_keeps_lines_and_slots() -> None:
    code = sample.__code__
    program = decode(code)
    index = next(i for i, ins in enumerate(program.instructions) if ins.op == "RETURN_VALUE")
    unit = Unit(code, 0, index, (), (True,), code.co_cellvars + code.co_freevars, is_entry=False)
    assert run_resumed(unit, globals(), ["value"], tuple(CellType() for _ in unit.cells)) == "value"


def test_raising_resume_reaches_the_handler() -> None:
    def guarded(x):
        try:
            x = x.method()
        except ValueError as e:
            return f"caught {e}"
        return x

    code = guarded.__code__
    index = next(i for i, ins in enumerate(decode(code).instructions) if ins.op == "CALL")
    unit = Unit(code, 0, index, ("x",), (), (), is_entry=False, raises=True)
    assert run_resumed(unit, globals(), [1, ValueError("this")], ()) == "caught this"


def test_resume_of_a_long_function() -> None:
    """Jumps and arguments beyond one byte."""
    lines = "\n".join(f"    a{i} = x + {i}" for i in range(300))
    space: dict = {"show": print}
    exec(f"def long(x):\n{lines}\n    show('here')\n    return a0 + a299", space)
    function = capture_of(space["long"])
    assert_same(function(ramp(2)), space["long"](ramp(2)))
    assert [stop.reason.id for _, stop in function.family.breaks] == ["native-call"] or function.family.breaks
