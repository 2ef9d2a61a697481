"""What goes for all commands: help, version, colours."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracegraph

Run = Callable[..., Any]


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"tracegraph, version {tracegraph.__version__}\n"


@pytest.mark.parametrize("command", ["dump", "opt", "explain", "passes", "ops"])
def test_help_teaches_with_examples(run: Run, command: str) -> None:
    assert command in run("--help").stdout
    assert f"tracegraph {command}" in run(command, "--help").stdout.partition("Example")[2]


def in_terminal(*arguments: str, cwd: Path) -> str:
    """What the command prints when standard output is a terminal."""
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm-256color"}
    command = [sys.executable, "-m", "tracegraph", *arguments]
    with subprocess.Popen(command, stdout=theirs, cwd=cwd, env=environment) as process:
        os.close(theirs)
        chunks = []
        with contextlib.suppress(OSError):  # which is how Linux reports the end of a terminal
            while chunk := os.read(ours, 4096):
                chunks.append(chunk)
    os.close(ours)
    assert process.returncode == 0
    return b"".join(chunks).decode()


def test_coloured_in_a_terminal_and_plain_in_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "graph.tg").write_text("graph f(%x: f32[4]) {\n  return %x\n}\n")
    arguments = ("opt", "graph.tg", "--passes", "dce")
    assert "\x1b[" in in_terminal(*arguments, cwd=tmp_path)
    piped = subprocess.check_output([sys.executable, "-m", "tracegraph", *arguments], text=True, cwd=tmp_path)
    assert piped == "graph f(%x: f32[4]) {\n  return %x\n}\n"


def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tracegraph", "ops"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()  # before the command prints anything
        assert process.stderr.read() == b""
    assert process.returncode == 0
