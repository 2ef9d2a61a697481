"""Targets: how functions are found, and what is said when they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracegraph.cli.failure import Failure
from tracegraph.cli.targets import find_target

SOURCE = """
import difflib
from pathlib import Path
from json import dumps

print("imported")

def double(x):
    return x + x

def make():
    return double

class Scale:
    def __init__(self, by=3):
        self.by = by
    def __call__(self, x):
        return self.by * x

scale = Scale(5)
number = 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(SOURCE)
    return path


@pytest.mark.parametrize(
    ("name", "result"), [("double", 4), ("make", 4), ("Scale", 6), ("scale", 10), ("scale.__call__", 10)]
)
def test_in_a_file(file: Path, name: str, result: int) -> None:
    assert find_target(f"{file}:{name}", has_inputs=True).function(2) == result


def test_without_inputs_a_function_without_parameters_is_the_target(file: Path) -> None:
    assert find_target(f"{file}:make", has_inputs=False).function.__name__ == "make"


def test_in_a_module() -> None:
    import json

    assert find_target("json:dumps", has_inputs=True).function is json.dumps


def test_prints_of_the_user_stay_off_standard_output(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    find_target(f"{file}:double", has_inputs=True)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "imported\n")


@pytest.mark.parametrize(
    ("target", "problem", "remedy"),
    [
        ("double", "target 'double' names no function", "path/file.py:function"),
        ("missing.py:f", "there is no file missing.py", "check the path"),
        ("no_such_module:f", "there is no module no_such_module", "named with its .py"),
        ("json.no_such:f", "there is no module json.no_such", "named with its .py"),
        ("{file}:doubl", "there is no 'doubl' in", "did you mean double?"),
        ("{file}:unheard", "there is no 'unheard' in", "it defines double, make, Scale"),
        ("{file}:Scale.made", "there is no 'Scale.made' in", "it defines no function"),
        ("{file}:number", "is 7 (int), not a function", "path/file.py:function"),
    ],
)
def test_bad_target_is_named_with_a_remedy(file: Path, target: str, problem: str, remedy: str) -> None:
    with pytest.raises(Failure) as failure:
        find_target(target.format(file=file), has_inputs=True)
    assert problem in failure.value.message
    assert remedy in failure.value.remedy


@pytest.mark.parametrize(
    ("source", "problem", "line"),
    [
        ("import os\n1 / 0\n", "ZeroDivisionError: division by zero", "model.py:2: 1 / 0"),
        ("def f(:\n", "SyntaxError", "model.py:1: def f(:"),
        ("import json\njson.loads('[')\n", "JSONDecodeError", "model.py:2: json.loads('[')"),
        ("import no_such_library\n", "No module named 'no_such_library'", "model.py:1: import no_such"),
        ("raise SystemExit(3)\n", "SystemExit: 3", "model.py:1: raise SystemExit(3)"),
    ],
)
def test_failing_import_names_the_users_line(file: Path, source: str, problem: str, line: str) -> None:
    file.write_text(source)
    with pytest.raises(Failure) as failure:
        find_target(f"{file}:f", has_inputs=True)
    assert problem in failure.value.message
    assert line in failure.value.where
