"""Every golden file: text in, passes, text out, same meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden import Case, check, collect

from tracegraph.passes import PASSES, find_pass

FOLDER = Path(__file__).parent / "golden"


@pytest.mark.parametrize("case", list(collect(FOLDER)), ids=str)
def test_golden(case: Case, bless: bool) -> None:
    check(case, find_pass, bless)


@pytest.mark.parametrize("name", list(PASSES))
def test_every_pass_has_golden_files(name: str) -> None:
    assert list((FOLDER / name).glob("*.tg"))
