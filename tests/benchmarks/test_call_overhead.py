"""The benchmark of call overhead checks its results and writes its table."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tracegraph.errors import CompileError

PATH = Path(__file__).parents[2] / "benchmarks" / "call_overhead.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("call_overhead", PATH)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_table_is_written_and_replaced(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "CALLS", 2)
    page = tmp_path / "page.md"
    page.write_text("before\n")
    for arguments in ("1,2", "3"):
        benchmark.main(["--arguments", arguments, "--rounds", "1", "--libraries", "", "--write", str(page)])
        printed = capsys.readouterr().out
        assert page.read_text() == f"before\n<!-- call_overhead -->\n{printed}<!-- /call_overhead -->\n"
    assert "| tracegraph compiled |" in printed and "3 arguments |" in printed and "2 arguments" not in printed


def test_a_wrong_result_is_an_error(benchmark: ModuleType) -> None:
    arrays = [np.ones(8, np.float32)]
    way = benchmark.Way("tracegraph off by one", lambda f, xs: lambda: f(*xs) + 1, np.asarray)
    with pytest.raises(AssertionError):
        benchmark.checked(way, benchmark.make_function(1), arrays)


@pytest.mark.usefixtures("native")
def test_a_fallback_is_not_measured(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object) -> None:
        raise CompileError("on purpose")

    monkeypatch.setattr("tracegraph.compiler.pipeline.compile_program", fails)
    (way,) = [w for w in benchmark.tracegraph_ways() if w.name == "tracegraph compiled"]
    with pytest.raises(CompileError, match="on purpose"):
        benchmark.checked(way, benchmark.make_function(1), [np.ones(8, np.float32)])


def test_a_broken_peer_is_left_out(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(function: object, arrays: object) -> None:
        raise OSError("no compiler here")

    way = benchmark.Way("peer", broken, np.asarray)
    assert benchmark.checked(way, benchmark.make_function(1), [np.ones(8, np.float32)]) is None
    assert "left out: peer: OSError: no compiler here" in capsys.readouterr().err
