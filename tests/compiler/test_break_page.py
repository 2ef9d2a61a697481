"""The registry of break reasons is complete, true, and what its page says."""

from __future__ import annotations

import ast
import contextlib
import re
import zlib
from pathlib import Path

import pytest
from captured import assert_same, capture_of, graphs_of

import tracegraph as tg
from tracegraph.capture.compiled_function import family_of
from tracegraph.capture.reporting import break_reasons
from tracegraph.capture.reporting.break_reasons import REASONS
from tracegraph.capture.trace import tracer
from tracegraph.compiler.break_page import break_page

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "graph_breaks.md"


def test_page_is_up_to_date(bless):
    page = break_page()
    if bless:
        PAGE.write_text(page)
    assert PAGE.read_text() == page, "docs/graph_breaks.md is stale: pytest tests/compiler/test_break_page.py --bless"


class Example:
    """A program of the registry: its function `f` and the call on its last line."""

    def __init__(self, text, file):
        file.write_text(text.replace("1_000_000", "2_000"))
        self.file = file
        self.tree = ast.parse(file.read_text())
        self.call = ast.Expression(self.tree.body.pop().value)

    def outcome(self, wrap=lambda f: f):
        """The wrapped function, and what the call gives, or the text of its exception."""
        space = {"tg": tg, "zlib": zlib}
        exec(compile(self.tree, self.file, "exec"), space)
        function = space["f"] = wrap(space["f"])
        with contextlib.redirect_stdout(None):
            try:
                return function, eval(compile(self.call, self.file, "eval"), space)
            except ValueError as e:
                return function, str(e)


@pytest.mark.parametrize("id", REASONS)
def test_example_breaks_for_its_reason(id, tmp_path, monkeypatch):
    monkeypatch.setattr(tracer, "MAX_STEPS", 5_000)
    example = Example(REASONS[id].example, tmp_path / "example.py")
    _, expected = example.outcome()
    function, actual = example.outcome(capture_of)
    breaks = [stop for _, stop in family_of(function).breaks]
    assert id in [stop.reason.id for stop in breaks], [stop.describe() for stop in breaks]
    if id != "not-reconstructible":
        assert_same(actual, expected)


@pytest.mark.parametrize("id", [id for id, reason in REASONS.items() if reason.remedy])
def test_remedy_is_one_graph(id, tmp_path):
    remedy = Example(REASONS[id].remedy, tmp_path / "remedy.py")
    _, expected = remedy.outcome()
    function, actual = remedy.outcome(lambda f: capture_of(f, fullgraph=True))
    assert_same(actual, expected)
    assert len(graphs_of(function)) == 1


def test_only_what_is_meant_to_raise_has_no_remedy():
    assert [id for id, reason in REASONS.items() if not reason.remedy] == ["exception"]


def test_every_reason_is_raised_somewhere():
    text = "".join(p.read_text() for p in (ROOT / "tracegraph" / "capture").rglob("*.py"))
    constants = {v: k for k, v in vars(break_reasons).items() if k.isupper() and isinstance(v, str)}
    assert set(constants) == set(REASONS)
    for id, name in constants.items():
        assert f"reasons.{name}" in text, f"{id} is never raised"


def test_reasons_are_worded_for_readers():
    for reason in REASONS.values():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.id)
        assert reason.explanation.endswith(".")
        assert reason.hint.endswith(".")
        assert reason.example.splitlines()[-1].endswith(")")


def test_describe_tells_what_follows():
    def f(x):
        y = x * 2
        print("seen")
        return y

    function = capture_of(f)
    function(tg.ones(1))
    ((_, stop),) = family_of(function).breaks
    assert stop.describe() == (
        f"side-effect at {__file__}:{f.__code__.co_firstlineno + 2}: print(). {stop.reason.explanation} "
        f"So that instruction runs eagerly, the rest is captured. Hint: {stop.reason.hint}"
    )
