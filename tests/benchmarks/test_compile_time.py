"""The compile-time table runs, and names every stage."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tracegraph.codegen.llvm import disk_cache
from tracegraph.compiler.stages import STAGES

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "compile_time.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compile_time", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


def test_table(script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for variable in (disk_cache.SWITCH, disk_cache.FOLDER):
        monkeypatch.setenv(variable, "0")  # to be put back after the test
    monkeypatch.setattr(sys, "argv", ["compile_time.py", "--repeat", "1", "--warm", "x*2+1"])
    assert script.main() == 0
    printed = capsys.readouterr().out
    assert "warm compile time in ms" in printed
    rows = [line.split("│")[1].strip() for line in printed.splitlines() if line.count("│") == 3]
    assert rows == [*(stage for stage in STAGES if stage != "capture"), "rest", "total"]


def test_an_unknown_program_is_named(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["compile_time.py", "RNN"])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 2
    assert "no program RNN; there are x*2+1, MLP" in capsys.readouterr().err
