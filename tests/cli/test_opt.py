"""`tracegraph opt`: IR text through passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

TWICE = """graph twice(%x: f32[4]) {
  %0: f32[4] = exp(%x)
  %1: f32[4] = exp(%x)
  %2: f32[4] = add(%0, %1)
  return %2
}
"""
ONCE = """graph twice(%x: f32[4]) {
  %0: f32[4] = exp(%x)
  %1: f32[4] = add(%0, %0)
  return %1
}
"""


def test_named_passes(run: Run) -> None:
    result = run("opt", "-", "--passes", "cse,dce", input=TWICE)
    assert (result.exit_code, result.stdout) == (0, ONCE)


def test_several_graphs_in_a_file(run: Run) -> None:
    Path("graphs.tg").write_text(f"// first\n{TWICE}\n// second\n{TWICE}")
    assert run("opt", "graphs.tg", "--passes", "cse").stdout == ONCE + ONCE


def test_without_names_the_optimise_stage_runs(run: Run) -> None:
    assert "= exp(" in run("opt", "-", input=TWICE).stdout


def test_diff(run: Run) -> None:
    lines = run("opt", "-", "--passes", "dce,cse", "--diff", input=TWICE).stdout.splitlines()
    assert lines[:2] == ["--- before cse", "+++ after cse"]
    assert "-  %1: f32[4] = exp(%x)" in lines
    assert "+  %1: f32[4] = add(%0, %0)" in lines


def test_diff_of_nothing(run: Run) -> None:
    assert run("opt", "-", "--passes", "cse", "--diff", input=ONCE).stdout == "// graph twice: no pass changed it\n"


def test_piping_into_and_out_of(run: Run) -> None:
    dumped = run("dump", "--stage", "capture", "model.py:affine", "f32[3,4]", "f32[4,2]").stdout
    optimised = run("opt", "-", "--passes", "dce", input=dumped).stdout
    assert optimised == dumped.split("\n", maxsplit=1)[1]


@pytest.mark.parametrize(
    ("arguments", "text", "problem"),
    [
        (["nope.tg"], "", "there is no file nope.tg"),
        (["."], "", ". is a directory"),
        (["-"], "", "there is no graph in <stdin>"),
        (["-", "--passes", "cs"], ONCE, "unknown pass 'cs'"),
        (["-"], "\n" + ONCE.replace("exp", "expp"), "<stdin>, line 3, column 16: unknown op 'expp'"),
        (["-"], ONCE.replace("%0: f32[4]", "%0: f32[5]"), "line 2, column 3: %0 is stated as f32[5]"),
        (["-"], ONCE + "\n" + ONCE.replace("add(%0, %0)", "add(%0, %9)"), "line 9, column 24: %9 is not defined"),
        (["-"], ONCE.replace("}", ""), "<stdin>, line 6"),
    ],
)
def test_bad_input(refused: Callable[..., str], arguments: list[str], text: str, problem: str) -> None:
    assert problem in refused("opt", *arguments, input=text)
