"""The compile-time table runs, and names every stage."""

import subprocess
import sys
from pathlib import Path

from tracegraph.compiler.stages import STAGES

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "compile_time.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def test_table() -> None:
    done = run("--repeat", "1", "--warm", "x*2+1")
    assert done.returncode == 0, done.stderr
    assert "warm compile time in ms" in done.stdout
    rows = [line.split("│")[1].strip() for line in done.stdout.splitlines() if line.count("│") == 3]
    assert rows == [*(stage for stage in STAGES if stage != "capture"), "rest", "total"]


def test_an_unknown_program_is_named() -> None:
    done = run("RNN")
    assert done.returncode == 2
    assert "no program RNN; there are x*2+1, MLP" in done.stderr
