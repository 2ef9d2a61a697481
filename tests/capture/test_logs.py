"""Logs of recompiles, graph breaks and guards, by logger and by environment variable."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from captured import capture_of, ramp

from tracegraph.capture.reporting.logs import LOGS, set_logs
from tracegraph.errors import OptionError


def talking(x, name):
    y = x * len(name)
    print("seen")
    return y + 1


@pytest.fixture
def messages(caplog):
    def of(name):
        return [r.getMessage() for r in caplog.records if r.name == f"tracegraph.{name}"]

    with caplog.at_level(logging.INFO, logger="tracegraph"):
        yield of


def test_loggers(messages):
    function = capture_of(talking)
    function(ramp(2), "a")
    line = talking.__code__.co_firstlineno
    (stop,) = messages("graph_breaks")
    assert stop.startswith(f"graph of talking ends: side-effect at {__file__}:{line + 2}: print().")
    assert "Hint: Remove the call" in stop
    assert f"\n  name == 'a'  [{__file__}:{line + 1}]" in messages("guards")[0]
    assert messages("recompiles") == []
    function(ramp(2), "bb")
    (recompile,) = messages("recompiles")
    assert recompile.splitlines() == [
        f"talking ({__file__}:{line}) is compiled again:",
        f"  name == 'a' failed: name was 'a', now 'bb' (used at {__file__}:{line + 1})",
    ]


def test_silent_by_default(caplog):
    capture_of(talking)(ramp(2), "a")
    assert not caplog.records


PROGRAM = """
import tracegraph as tg
f = tg.compile(lambda x, k: x * len(k), backend="eager")
f(tg.ones(2), "a")
f(tg.ones(2), "bb")
"""


def test_environment_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("TRACEGRAPH_LOGS", "recompiles")
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr.startswith("[tracegraph.recompiles] <lambda> (<string>:3) is compiled again:\n  k == 'a' failed")
    assert "guards" not in done.stderr


def test_set_logs():
    before = {logger: (logger.level, list(logger.handlers)) for logger in LOGS.values()}
    try:
        set_logs("all")
        assert all(logger.isEnabledFor(logging.INFO) and logger.handlers for logger in LOGS.values())
    finally:
        for logger, (level, handlers) in before.items():
            logger.setLevel(level)
            logger.handlers[:] = handlers
    with pytest.raises(OptionError, match=r"unknown log 'recompile': one of recompiles, .* did you mean 'recompiles'"):
        set_logs("recompile")
