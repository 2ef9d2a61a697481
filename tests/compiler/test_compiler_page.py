"""docs/compiler.md: its examples run, and it names everything there is."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from tracegraph import compiler, library
from tracegraph.capture.reporting.logs import LOGS
from tracegraph.capture.stance import STANCES, config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compiler.md"


def test_examples():
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=options)
    assert result.attempted > 20
    assert result.failed == 0


NAMED_ELSEWHERE = {"Explanation", "GraphModule", "register_backend"}


@pytest.mark.parametrize(
    "name",
    [
        *(f"compiler.{n}" for n in compiler.__all__ if n not in NAMED_ELSEWHERE and n != "compile"),
        *(f"library.{n}" for n in ("custom_op", "opcheck")),
        *("register_fake", "register_autograd", "register_kernel", "mutates_args"),
        *(f'"{s}"' for s in STANCES),
        *(f"compiler.config.{n}" for n in vars(config)),
        *LOGS,
    ],
)
def test_page_names(name):
    assert re.search(re.escape(name).replace(r"compiler\.Options", r"tracegraph\.compiler\.Options"), PAGE.read_text())


def test_library_is_complete():
    assert {"custom_op", "opcheck", "register_fake", "register_autograd", "register_kernel"} <= set(library.__all__)
