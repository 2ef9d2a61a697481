"""Generated programs, eager against captured and against compiled: whatever can be seen of a call agrees.

Continuous integration runs a fixed set; `TRACEGRAPH_FUZZ=5000 pytest tests/capture/test_generated_programs.py` looks
for new failures among as many random programs. A failing program is shrunk and printed; it runs as it stands, and once
mended belongs into `tests/programs/generated`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agreement import assert_agree
from captured import capture_of
from hypothesis import HealthCheck, given, settings
from program_generator import GeneratedProgram, generated_programs
from program_runs import Comparison, Module, compare, exactly, seen_of_call

import tracegraph as tg

FOUND = sorted((Path(__file__).parents[1] / "programs" / "generated").glob("*.py"))
LONG = int(os.environ.get("TRACEGRAPH_FUZZ", "0"))


def examples(count: int) -> Any:
    """Settings: `count` fixed examples, or many random ones."""
    checks = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
    return settings(max_examples=LONG or count, derandomize=not LONG, suppress_health_check=checks, database=None)


def check(program: GeneratedProgram, wrap: Callable[[Any], Any], same_array: Comparison = exactly) -> None:
    """Every call looks the same, executed eagerly and wrapped."""
    eager, wrapped = Module.load(program.source, "generated"), Module.load(program.source, "generated", wrap)
    for call in program.calls:
        compare(seen_of_call(wrapped, call), seen_of_call(eager, call), same_array)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_programs_that_failed_once(path: Path) -> None:
    source = path.read_text()
    program = GeneratedProgram(source, Module.load(source, "found").namespace["CALLS"])
    check(program, capture_of)
    check(program, lambda f: capture_of(f, dynamic=True))
    check(program, lambda f: tg.compile(f, options={"strict": True}), assert_agree)


@examples(250)
@given(generated_programs())
def test_captured_programs_agree_with_eager(program: GeneratedProgram) -> None:
    check(program, capture_of)


@pytest.mark.parametrize("limit", [1, 2])
@examples(40)
@given(program=generated_programs())
def test_programs_agree_beyond_the_recompile_limit(program: GeneratedProgram, limit: int) -> None:
    check(program, lambda f: capture_of(f, recompile_limit=limit))


@examples(60)
@given(generated_programs())
def test_programs_agree_with_symbolic_sizes(program: GeneratedProgram) -> None:
    check(program, lambda f: capture_of(f, dynamic=True))


@examples(25)
@given(generated_programs(reads_values=False, most=5))
def test_compiled_programs_agree_with_eager(program: GeneratedProgram) -> None:
    check(program, lambda f: tg.compile(f, options={"strict": True}), assert_agree)
