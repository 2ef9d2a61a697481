"""A program to look at, and a way to run the command as a user does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tracegraph.cli.main import cli

MODEL = """
import tracegraph as tg
from tracegraph import nn

def affine(x, w):
    return (x @ w) * 2 + 1

def broken(x):
    y = x * 2
    print("seen")
    return y + 1

def failing(x):
    return x.reshape(7)

def lookup(table, i, shift):
    return table[i + shift]

double = lambda x: x * 2

def numbers(n):
    return n + 1

def step(x, w):
    loss = (x @ w).sum()
    loss.backward()
    return loss

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
    def forward(self, x):
        return self.layer(x).relu()

def example():
    return Net(), tg.ones(3, 4)

def apply(model, x):
    return model(x)

def no_arguments():
    pass

def one_number():
    return 3

class Wide(Net):
    def __init__(self, width):
        super().__init__()

def written(x, y):
    y.add_(1)
    return x.t(), tg.rand(3)
"""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("dump", "model.py:affine", ...)` in a folder that holds model.py."""
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, input: str = "") -> Result:
        return CliRunner().invoke(cli, arguments, input=input)

    return invoke


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """The error of a command that must fail cleanly: status 2, nothing on standard output, no traceback."""

    def invoke(*arguments: str, input: str = "") -> str:
        result = run(*arguments, input=input)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        assert "try:" in result.stderr
        return result.stderr

    return invoke
