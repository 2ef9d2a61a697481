"""Folded tests: every case runs and is named, alone if asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = "import folded\ndef pytest_addoption(parser, pluginmanager): pluginmanager.register(folded)\n"
TESTS = """
import random
from folded import folded

SEEN = []

@folded("case", ["a.one", "a.two", "a.three", "b.one"], by=lambda case: case[0])
def test_it(case):
    SEEN.append(random.random())
    assert len(set(SEEN)) == 1, "not seeded"
    assert not case.startswith("a.t"), "it is bad"
"""


@pytest.fixture
def run(tmp_path: Path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", "/dev/null"]
        paths = ["-o", f"pythonpath={Path(__file__).parent}", "--rootdir", str(tmp_path)]
        done = subprocess.run(
            [*command, *paths, *arguments, str(tmp_path)], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_every_failing_case_is_named(run) -> None:
    status, output = run()
    assert status == 1
    assert "1 failed, 1 passed" in output
    assert "2 of 3 cases fail: a.two, a.three" in output
    assert output.count("AssertionError: it is bad") == 2
    assert "it runs alone by --case 'a.three'" in output


def test_one_case_runs_alone(run) -> None:
    assert "1 passed" in run("--case", "a.one")[1]
    status, output = run("--case", "a.three")
    assert status == 1
    assert "test_it[a.three]" in output
    assert "1 failed" in output
    assert "3 passed" not in output
    assert "1 passed" in run("--case", "?.one", "-k", "b.one")[1]


def test_an_unknown_case_is_an_error(run) -> None:
    status, output = run("--case", "c")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "no folded test has a case 'c'" in output
