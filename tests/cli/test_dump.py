"""`tracegraph dump`: every stage prints, and can be fed back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tracegraph import ir
from tracegraph.compiler.stages import STAGES

Run = Callable[..., Any]


def stages_in(output: str) -> list[str]:
    return re.findall(r"^// stage (\w+):", output, flags=re.MULTILINE)


def test_all_stages_in_order(run: Run) -> None:
    result = run("dump", "model.py:affine", "f32[3,4]", "f32[4,2]:grad")
    assert result.exit_code == 0, result.output
    assert list(dict.fromkeys(stages_in(result.stdout))) == list(STAGES)
    assert result.stderr == ""


@pytest.mark.parametrize("stage", ["capture", "joint", "optimise", "fuse", "emit"])
def test_one_stage(run: Run, stage: str) -> None:
    result = run("dump", "--stage", stage, "model.py:affine", "f32[3,4]", "f32[4,2]:grad")
    assert result.exit_code == 0, result.output
    assert set(stages_in(result.stdout)) == {stage}


def test_captured_graph_parses_back(run: Run) -> None:
    result = run("dump", "--stage", "capture", "model.py:affine", "f32[3,4]", "f32[4,2]")
    graph = ir.parse(result.stdout)
    assert [node.call_op.name for node in graph.calls] == ["matmul", "mul", "add"]


def test_dynamic_sizes(run: Run) -> None:
    result = run("dump", "--stage", "capture", "--dynamic", "model.py:affine", "f32[3,4]", "f32[4,2]")
    assert "%x: f32[s0, s1]" in result.stdout


def test_inference_has_no_backward_graph(run: Run) -> None:
    result = run("dump", "--inference", "model.py:affine", "f32[3,4]", "f32[4,2]:grad")
    assert "partition" not in stages_in(result.stdout)
    assert "fuse" in stages_in(result.stdout)


def test_option(run: Run) -> None:
    result = run("dump", "-O", "fuse=False", "model.py:affine", "f32[3,4]", "f32[4,2]")
    assert "fuse" not in stages_in(result.stdout)


def test_module_is_made_and_dumped(run: Run) -> None:
    result = run("dump", "--stage", "joint", "model.py:Net", "f32[3,4]")
    assert result.exit_code == 0, result.output
    assert "parameter" in result.stdout


def test_supplied_arguments(run: Run) -> None:
    result = run("dump", "--stage", "capture", "model.py:apply", "@example")
    assert result.exit_code == 0, result.output
    assert "relu" in result.stdout


def test_prints_of_the_user_stay_out(run: Run) -> None:
    result = run("dump", "--stage", "capture", "model.py:broken", "f32[3]")
    assert "seen" in result.stderr
    assert "seen" not in result.stdout
    assert len(stages_in(result.stdout)) == 2


def test_times(run: Run) -> None:
    result = run("dump", "--stage", "optimise", "--times", "model.py:affine", "f32[3,4]", "f32[4,2]")
    assert re.search(r"^// stage optimise: affine.* \(\d+\.\d ms\)$", result.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--stage", "nope", "model.py:affine"], "there is no stage 'nope'"),
        (["nope.py:f"], "there is no file nope.py"),
        (["model.py:nope"], "there is no 'nope' in model.py"),
        (["model.py:affine", "f99[3]"], "input 'f99[3]': unknown dtype"),
        (["-O", "fus=True", "model.py:affine"], "unknown option 'fus'; did you mean 'fuse'?"),
        (["-O", "fuse", "model.py:affine"], "option 'fuse' has no value"),
        (["-O", "fuse=3", "model.py:affine"], "option fuse=3: expected bool"),
        (["model.py:affine", "f32[3,4]"], "missing 1 required positional argument: 'w'"),
        (["--stage", "joint", "model.py:affine", "f32[3,4]", "f32[4,2]"], "stage joint did not run"),
        (["model.py:numbers", "3"], "stage all did not run"),
    ],
)
def test_bad_input(refused: Callable[..., str], arguments: list[str], problem: str) -> None:
    assert problem in refused("dump", *arguments)


def test_wrong_shape_names_the_users_line(refused: Callable[..., str]) -> None:
    error = refused("dump", "model.py:failing", "f32[3]")
    assert "model.py:14: return x.reshape(7)" in error
    assert "ShapeError" in error


def test_help_names_every_stage(run: Run) -> None:
    assert " ".join(STAGES) in run("dump", "--help").stdout
