"""docs/models.md says what the tests of this folder find."""

from __future__ import annotations

from pathlib import Path

from models.page import models_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"


def test_models_page_is_up_to_date(bless: bool) -> None:
    page = models_page()
    if bless:
        PAGE.write_text(page)
    assert PAGE.read_text() == page, "docs/models.md is stale: run `pytest tests/models/test_page.py --bless`"
