"""The golden-file runner itself: it reads, compares, refuses, and blesses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from agreement import assert_agree
from golden import check, read

from tracegraph import ir

FILE = """// pass: same
// Nothing happens.
// sizes: s0=3
graph f(%x: f32[s0]) {
  return %x
}
// expect unchanged

// pass: drop
graph f(%x: f32[4], %y: f32[4]) {
  return %x, %y
}
// expect
graph f(%x: f32[4], %y: f32[4]) {
  return %y, %x
}
"""


def same(graph: ir.Graph) -> ir.Graph:
    return ir.rebuild(graph, lambda rebuilder, node: False)


def drop(graph: ir.Graph) -> ir.Graph:
    """A wrong pass: returns the first result twice."""

    def visit(rebuilder: ir.Rebuilder, node: ir.Node) -> bool:
        if node.op == "output":
            first = rebuilder.operands(node)[0]
            rebuilder.builder.output(first, first)
        return node.op == "output"

    return ir.rebuild(graph, visit)


PASSES = {"same": same, "drop": drop}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "example" / "case.tg"
    path.parent.mkdir()
    path.write_text(FILE)
    return path


def test_read(path: Path) -> None:
    first, second = read(path)
    assert (first.passes, second.passes) == (["same"], ["drop"])
    assert first.sizes == {"s0": 3}
    assert first.expected == first.source
    assert second.expected.splitlines()[1] == "  return %y, %x"
    assert [str(first), str(second)] == ["example/case", "example/case-1"]


@pytest.mark.parametrize("text", ["", "graph f() {\n}\n", "// pass: same\ngraph f() {\n}\n"])
def test_malformed_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.tg").write_text(text)
    with pytest.raises(ValueError, match="case"):
        read(tmp_path / "bad.tg")


def test_case_that_holds(path: Path) -> None:
    check(read(path)[0], PASSES.__getitem__)


def test_unexpected_text_is_an_error(path: Path) -> None:
    with pytest.raises(AssertionError, match="return %x, %x"):
        check(read(path)[1], PASSES.__getitem__)


def test_blessing_rewrites_the_text_but_never_a_changed_meaning(path: Path) -> None:
    with pytest.raises(AssertionError, match="output 1"):
        check(read(path)[1], PASSES.__getitem__, bless=True)
    assert path.read_text() == FILE.replace("return %y, %x", "return %x, %x")


def test_input_must_be_in_printed_form(path: Path) -> None:
    path.write_text(FILE.replace("  return %x\n", "    return %x\n"))
    with pytest.raises(AssertionError, match="not in printed form"):
        check(read(path)[0], PASSES.__getitem__)


def test_agreement_knows_the_dtype() -> None:
    x = np.float32([1.0, np.nan])
    assert_agree(x * np.float32(1 + 1e-6), x, "x")
    with pytest.raises(AssertionError):
        assert_agree(x.astype(np.float64), x, "x")
    with pytest.raises(AssertionError):
        assert_agree(np.int64([1, 2]), np.int64([1, 3]), "x")
