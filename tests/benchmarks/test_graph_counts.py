"""The comparison of graph counts runs its programs, sees differences, and sums up."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location("graph_counts", FOLDER / "graph_counts.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    spec.loader.exec_module(module)
    sys.path.remove(str(FOLDER))
    return module


def test_programs_are_counted(benchmark: ModuleType) -> None:
    library = benchmark.Tracegraph()
    found = list(benchmark.compared(benchmark.FOLDER / "detection.py", (library, library)))
    by_name = {c.program.name: c for c in found}
    assert by_name["box_iou"].ours.graphs == [1, 1] and by_name["box_iou"].ours.is_one_graph
    assert not by_name["nms"].ours.is_one_graph and any("nonzero" in b for b in by_name["nms"].ours.breaks)
    assert not any(line for c in found for line in c.lines())
    total = len(found)
    one = sum(c.ours.is_one_graph for c in found)
    assert benchmark.table(found).splitlines()[-1] == f"| all | {total} | {one} | {one} | 0 | 0 | 0 | 0 | 0 |"


PROGRAM = """
import torch
from graph_programs import program


@program("4x8", "5x8")
def scaled(x):
    print(x.shape[0])
    return x * FACTOR


@program("4x8 =3")
def missing(x, n):
    return torch.no_such_function(x) if NAME == "first" else x * n
"""


def test_differences_are_named(benchmark: ModuleType, tmp_path: Path) -> None:
    class Changed(benchmark.Tracegraph):
        def __init__(self, name: str, factor: int) -> None:
            super().__init__()
            self.text = f"FACTOR, NAME = {factor}, {name!r}\n"

        def source(self, text: str) -> str:
            return str(super().source(text)) + self.text

    path = tmp_path / "some.py"
    path.write_text(PROGRAM)
    scaled, missing = benchmark.compared(path, (Changed("first", 2), Changed("second", 3)))
    assert "values" in scaled.unlike_torch and scaled.unlike_eager is None
    assert "no_such_function" in missing.unlike_torch and missing.ours.lacks_something
    assert any(line.startswith("tracegraph is not torch") for line in scaled.lines())
