"""`tracegraph explain`: graphs, guards, and why a graph ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Run = Callable[..., Any]


def test_whole_function(run: Run) -> None:
    result = run("explain", "model.py:affine", "f32[3,4]", "f32[4,2]")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("model.py:affine: 1 graph, 3 operations, 0 breaks")
    assert "  inputs: %x: f32[3, 4], %w: f32[4, 2]" in lines
    assert "  operations: matmul, mul, add" in lines
    assert any("x is a Tensor f32[3, 4]" in line for line in lines)


def test_break_names_line_reason_and_remedy(run: Run) -> None:
    output = run("explain", "model.py:broken", "f32[3]").stdout
    assert output.startswith("model.py:broken: 2 graphs, 2 operations, 1 break")
    lines = output.splitlines()
    where, why, remedy = lines[lines.index("breaks") + 1 :][:3]
    assert "model.py:10: print() [side-effect]" in where
    assert why.strip().startswith("why: A call acts on the outside world")
    assert remedy.strip().startswith("try: Remove the call")


def test_without_guards(run: Run) -> None:
    target = "model.py:broken", "f32[3]"
    assert "guards:" not in run("explain", "--no-guards", *target).stdout
    assert "on definitions:" in run("explain", *target).stdout
    assert "on definitions:" not in run("explain", "--guards", "all", *target).stdout


def test_failing_function(refused: Callable[..., str]) -> None:
    assert "ShapeError" in refused("explain", "model.py:failing", "f32[3]")


def test_a_function_that_differentiates_itself(run: Run) -> None:
    result = run("explain", "model.py:step", "f32[3,4]", "f32[4,2]:grad")
    assert result.exit_code == 0, result.output
    assert "1 graph" in result.stdout


def test_inputs_that_do_not_fit(refused: Callable[..., str]) -> None:
    text = refused("explain", "model.py:affine", "f32[3,4]")
    assert "model.py:affine takes (x, w" in text
    assert "give one INPUT for each" in text
