"""Lists of ops and passes, and the page of the ops that is made from them."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from tracegraph.cli.listing import definitions, ops, ops_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ops.md"


def test_ops_page_is_up_to_date(bless: bool) -> None:
    page = ops_page(definitions())
    if bless:
        PAGE.write_text(page)
    assert PAGE.read_text() == page, "docs/ops.md is stale: run `tracegraph ops --markdown > docs/ops.md`"


def test_ops_by_name() -> None:
    result = CliRunner().invoke(ops, ["conv2d"])
    assert result.exit_code == 0
    title, *rows = result.output.splitlines()
    assert title.split() == ["op", "kind", "what", "it", "does"]
    assert rows
    assert all("conv2d" in row.split()[0] or "conv2d" in row for row in rows)


def test_unknown_op_is_named() -> None:
    result = CliRunner().invoke(ops, ["no_such_op"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no operation has no_such_op in its name" in result.stderr
    assert "tracegraph ops lists them all" in result.stderr
