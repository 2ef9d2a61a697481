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


@pytest.mark.usefixtures("native")
def test_all_stages_in_order(run: Run) -> None:
    result = run("dump", "model.py:affine", "f32[3,4]", "f32[4,2]:grad")
    assert result.exit_code == 0, result.output
    assert list(dict.fromkeys(stages_in(result.stdout))) == list(STAGES)
    assert result.stderr == ""


@pytest.mark.usefixtures("native")
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


@pytest.mark.usefixtures("native")
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
        (["model.py:affine", "f32[3,4]"], "model.py:affine takes (x, w): missing a required argument: 'w'"),
        (["model.py:Net", "f32[3,4]", "f32[3]"], "model.py:Net takes (x): too many positional arguments"),
        (["model.py:affine", "f32[3,4]", "z=f32[3]"], "model.py:affine takes (x, w): missing a required argument"),
        (["model.py:apply", "@no_arguments"], "no_arguments() returns None, not the arguments of model.py:apply"),
        (["model.py:apply", "@one_number"], "model.py:apply takes (model, x): missing a required argument: 'x'"),
        (["model.py:affine", "@affine"], "@affine takes (x, w): missing a required argument: 'x'"),
        (["model.py:affine", "@nn"], "@nn is <module 'tracegraph.nn'"),
        (["model.py:affine", "@"], "input '@' names no function"),
        (["model.py:Wide", "f32[3,4]"], "model.py:Wide is a class, and its constructor takes (width)"),
        (["model.py:numbers", "'a'"], "calling model.py:numbers('a') failed: TypeError"),
        (["--stage", "joint", "model.py:affine", "f32[3,4]", "f32[4,2]"], "stage joint did not run"),
        (["model.py:numbers", "3"], "no stage ran for model.py:numbers"),
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


def test_options_are_listed(run: Run, refused: Callable[..., str]) -> None:
    listed = "fastmath=False, partitioner=min_cut, verify=False, fuse=True"
    assert listed in " ".join(run("dump", "--help").stdout.split())
    assert listed in refused("dump", "-O", "zzz=1", "model.py:affine")


def test_what_fails_in_a_graph_names_the_users_line(refused: Callable[..., str]) -> None:
    error = refused("dump", "model.py:lookup", "f32[2,4]", "i64[1]:1", "7")
    assert "IndexRangeError: x[...]: index 7 is out of bounds" in error
    assert "model.py:17: return table[i + shift]" in error


@pytest.mark.parametrize(
    ("target", "title"),
    [("Net", "Net"), ("affine", "affine"), ("double", "lambda_model_19"), ("Net.forward", "forward")],
)
def test_titles_say_what_was_captured(run: Run, target: str, title: str) -> None:
    inputs = ["f32[3,4]", "f32[4,2]"] if target == "affine" else ["f32[3,4]"]
    inputs = ["@example"] if target == "Net.forward" else inputs
    output = run("dump", "--stage", "capture", f"model.py:{target}", *inputs).stdout
    assert output.startswith(f"// stage capture: {title}\ngraph {title}(")


def test_what_functionalising_takes_out_is_told_in_words(run: Run) -> None:
    output = run("dump", "--stage", "functionalise", "model.py:written", "f32[3,4]", "f32[3,4]").stdout
    record = output.partition("}\n\n")[2]
    assert record == (
        "// result 0: permute(dims=[1, 0]) of input 1, a view\n"
        "// result 1: output 1\n"
        "// output 0 is written to input 0\n"
        "// input 2 is a random key, drawn at each call\n"
    )


def test_seeds_are_not_negative(run: Run) -> None:
    result = run("dump", "--seed", "-1", "model.py:affine", "f32[3,4]", "f32[4,2]")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for '--seed'" in result.stderr
