"""Guards are complete: whatever a program depends on is changed after its capture, and the next call must be right.

The changes are generated for every program of `tests/programs`. By default a sample of them runs for each program,
the same one each time; TRACEGRAPH_MUTATIONS=all runs every one.
"""

from __future__ import annotations

import os
import random
import re
import warnings
from typing import Any

from captured import Outcome, assert_same, capture_of, observe
from folded import folded
from mutations import CALLED, Place, Shared, changes_of, places_of
from programs import PROGRAMS, load, subject

load()
SAMPLE = 6


def _changes(function: Any, args: tuple[Any, ...], seed: str) -> list[tuple[Place, int, str]]:
    """(place, number of the change there, what it is)."""
    found = []
    for place in places_of(function, args):
        value = place.path[-1].get(place.holder(args))
        found += [(place, i, text) for i, (text, _) in enumerate(changes_of(value))]
    if os.environ.get("TRACEGRAPH_MUTATIONS") == "all" or len(found) <= SAMPLE:
        return found
    return random.Random(seed).sample(found, SAMPLE)


def _run(function: Any, args: tuple[Any, ...], place: Place, number: int) -> Outcome | None:
    """Call with one change made; None if the place does not admit it."""
    step, holder, given = place.path[-1], place.holder(args), list(args)
    _, changed = list(changes_of(step.get(holder)))[number]
    if place.root is None and len(place.path) == 1:
        holder = given
    try:
        step.set(holder, changed)
    except (TypeError, AttributeError):
        return None
    CALLED.clear()
    outcome = observe(function, tuple(given))
    outcome.printed += f"called: {sorted(CALLED)}"
    return outcome


def _text(error: tuple[type, str] | None) -> Any:
    return error and (error[0], re.sub(r"0x[0-9a-f]+", "0x", error[1]))


@folded("name", sorted(PROGRAMS), by=subject)
def test_a_change_is_seen(name: str) -> None:
    program = PROGRAMS[name]
    make_args = program.make_args[0]
    captured = capture_of(program.function, recompile_limit=10_000)
    shared = Shared(places_of(program.function, make_args()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            observe(captured, make_args())
            shared.restore()
            for place, number, text in _changes(program.function, make_args(), name):
                expected = _run(program.function, make_args(), place, number)
                shared.restore()
                if expected is None:
                    continue
                actual = _run(captured, make_args(), place, number)
                shared.restore()
                assert_same_outcome(actual, expected, f"{place}: {text}")
        finally:
            shared.restore()


def assert_same_outcome(actual: Outcome | None, expected: Outcome, change: str) -> None:
    assert actual is not None
    try:
        assert _text(actual.error) == _text(expected.error)
        assert actual.printed == expected.printed
        assert_same(actual.result, expected.result)
        if expected.error is None:
            assert_same(actual.args, expected.args)
    except AssertionError as e:
        raise AssertionError(f"after the change `{change}`: {e}") from None
