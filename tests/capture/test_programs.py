"""Every program of `tests/programs`, eager against captured: results, side effects, text, exceptions, breaks."""

from __future__ import annotations

from captured import assert_same, capture_of, check, gradient
from folded import folded
from programs import PROGRAMS, load, subject

load()


@folded("name", sorted(PROGRAMS), by=subject)
def test_agrees_with_eager(name: str) -> None:
    """What is not to break would raise where it did."""
    program = PROGRAMS[name]
    check(program.function, *program.make_args, breaks=program.breaks, fullgraph=program.breaks == ())


@folded("name", sorted(n for n, p in PROGRAMS.items() if p.takes_tensor and p.breaks == ()), by=subject)
def test_has_the_gradient_of_eager(name: str) -> None:
    function = PROGRAMS[name].function
    expected, actual = gradient(function), gradient(capture_of(function))
    assert (actual is None) == (expected is None)
    if expected is not None:
        assert_same(actual, expected)
