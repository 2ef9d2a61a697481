"""Tests can fail: each asserts something, itself or by a helper that is named for it and does.

A helper is named for it by its first word (`check_command`, `assert_close`, `compare`), and a table of such helpers is
called CHECKS; `pytest.raises` and numpy's `assert_...` count as they are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ASSERTING = re.compile(r"(assert|check|compare)(_|$)")
FAILING = {"raises", "warns", "fail"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def functions_of(path: Path) -> list[Function]:
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, Function)]


@cache
def helpers_of(path: Path) -> dict[str, Function]:
    """The functions named for an assertion that a file defines, by name."""
    return {f.name: f for f in functions_of(path) if ASSERTING.match(f.name)}


@cache
def shared_helpers() -> dict[str, Function]:
    """Those of the files that tests import from."""
    found: dict[str, Function] = {}
    for path in [*TESTS.glob("*.py"), *TESTS.glob("*/[!t]*.py")]:
        found |= helpers_of(path) if path.parent.name != "programs" else {}
    return found


def calls(function: Function) -> Iterator[tuple[str, str]]:
    """The last two names of whatever the function calls: ('pytest', 'raises'), ('', 'check')."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            last = node.func.value if isinstance(node.func, ast.Subscript) else node.func
            if isinstance(last, ast.Name):
                yield "", last.id
            elif isinstance(last, ast.Attribute):
                yield ast.unparse(last.value).rpartition(".")[2], last.attr


def asserts(function: Function, path: Path, within: frozenset[str] = frozenset()) -> bool:
    """Whether a call of the function can fail a test; `within` names the helpers that are being looked at."""
    if any(isinstance(node, ast.Assert) for node in ast.walk(function)):
        return True
    for owner, name in calls(function):
        if name == "CHECKS" and all(asserts(f, path) for f in helpers_of(path).values()):
            return True
        if (owner == "pytest" and name in FAILING) or (owner == "testing" and ASSERTING.match(name)):
            return True
        helper = helpers_of(path).get(name) or shared_helpers().get(name)
        if helper is not None and name not in within and asserts(helper, path, within | {name}):
            return True
    return False


def silent(path: Path) -> list[str]:
    """The tests of a file that assert nothing, with their lines."""
    tests = (f for f in functions_of(path) if f.name.startswith("test_"))
    return [f"{path.name}:{test.lineno} {test.name}" for test in tests if not asserts(test, path)]


def test_every_test_asserts_something() -> None:
    files = sorted(TESTS.rglob("test_*.py"))
    assert len(files) > 200
    silent_ones = [line for path in files for line in silent(path)]
    assert not silent_ones, "these assert nothing:\n" + "\n".join(silent_ones)


def test_every_shared_helper_does_what_it_is_named_for() -> None:
    assert not [f.name for f in shared_helpers().values() if not asserts(f, TESTS / "conftest.py")], (
        "named for an assertion"
    )


@pytest.mark.parametrize(
    ("body", "fails"),
    [
        ("x = 1", False),
        ("check_of_no_file(x)", False),
        ("numpy.testing.assert_allclose(x, y)", True),
        ("with pytest.raises(ValueError): f()", True),
        ("for n in x:\n        assert n", True),
        ("raises(x)", False),
    ],
)
def test_what_counts(body: str, fails: bool, tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(f"def test_it():\n    {body}\n")
    assert silent(path) == ([] if fails else ["test_it.py:1 test_it"])
