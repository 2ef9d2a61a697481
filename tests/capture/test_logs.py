"""Logs of recompiles, graph breaks and guards, by logger and by environment variable."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from captured import capture_of, ramp

import tracegraph as tg
from tracegraph.capture.reporting.logs import LOGS, set_logs
from tracegraph.errors import CaptureError, OptionError


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


@tg.no_grad()
def quiet_part(x):
    print("part")
    return x * 2


@tg.inference_mode()
def other_part(x):
    print("other")
    return x * 3


def whole(x):
    return other_part(quiet_part(x))


def test_a_break_in_nested_calls_is_told_once(messages):
    capture_of(whole)(ramp(2))
    stops = messages("graph_breaks")
    lines = [function.__wrapped__.__code__.co_firstlineno + 2 for function in (quiet_part, other_part)]
    assert len(stops) == 2
    for stop, line in zip(stops, lines, strict=True):
        assert stop.startswith(f"graph of whole ends: side-effect at {__file__}:{line}: print().")


@pytest.mark.parametrize("function", [quiet_part, other_part])
def test_decorated_functions_have_their_own_names(messages, function):
    name, line = function.__name__, function.__wrapped__.__code__.co_firstlineno
    captured = capture_of(function)
    captured(ramp(2))
    (stop,) = messages("graph_breaks")
    assert stop.startswith(f"graph of {name} ends: side-effect at {__file__}:{line + 2}: print().")
    captured(ramp(3))
    assert {recompile.splitlines()[0] for recompile in messages("recompiles")} == {
        f"{name} ({__file__}:{line}) is compiled again:"
    }
    with pytest.raises(CaptureError, match=f"fullgraph=True, but {name} does not make one graph"):
        capture_of(function, fullgraph=True)(ramp(2))


def test_decorated_functions_do_not_share_a_limit_of_recompiles():
    def calls(x):
        return PARTS[0](x), PARTS[1](x), PARTS[2](x), PARTS[3](x)

    captured = capture_of(calls, recompile_limit=2)
    captured(ramp(2))
    assert captured.family.given_up == []


def _part(name):
    namespace = {}
    exec(f"def {name}(x):\n    print(x.ndim)\n    return x * 2", globals(), namespace)
    return tg.no_grad()(namespace[name])


PARTS = [_part(f"part{i}") for i in range(4)]


def test_sizes_are_named_as_the_program_names_them(messages):
    def refused(x, n):
        return x.reshape(n, 7)

    with pytest.raises(RuntimeError, match=r"shape \[3, 7\] is invalid for input of size 6 \(shape \[2, 3\]\)"):
        capture_of(refused, dynamic=True)(ramp(2, 3), 3)
    (stop,) = messages("graph_breaks")
    assert "shape [n, 7] is invalid for input of size x.shape[0]*x.shape[1] (shape [x.shape[0], x.shape[1]])" in stop


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
