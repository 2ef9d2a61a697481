"""Every instruction of every Python: handled, refused with a reason, or never seen; and the page that says which."""

from __future__ import annotations

import dis
from pathlib import Path
from typing import Any

import pytest

from tracegraph.capture import capture_call
from tracegraph.capture.bytecode.decode import SUPPORTED, VERSION, canonical_names, decode, why_never_seen
from tracegraph.capture.trace.frame import HANDLERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "opcodes.md"
HEAD = """# Instructions

What capture does with each bytecode instruction of each Python. This page is generated and checked by
`pytest tests/capture/test_opcodes.py`; with `--bless`, each Python writes its own column.

- **handled**: executed symbolically, as the canonical instructions named in `tracegraph/capture/bytecode/decode.py`;
- **dropped**: means nothing by itself to a symbolic frame;
- **breaks**: the graph breaks there, for the reason given;
- **never seen**: is in no function's code.
- An empty cell: this Python has no such instruction.
"""


def status(opname: str) -> str:
    """What becomes of an instruction on the running Python.

    Raises:
        AssertionError: nothing is known of it.
    """
    why = why_never_seen(opname)
    if why is not None:
        return f"never seen: {why}"
    names = canonical_names(opname)
    missing = [n for n in names if n not in HANDLERS]
    assert not missing, f"{opname} becomes {missing}, for which there is no handler"
    refused = [str(HANDLERS[n].__doc__) for n in names if getattr(HANDLERS[n], "is_refusal", False)]
    if len(refused) == len(names) and names:
        return f"breaks, {refused[0]}"
    return "; ".join(["handled" if names else "dropped", *(f"breaks for some, {r}" for r in refused)])


def read_page() -> dict[str, dict[str, str]]:
    """The cells of the page by instruction and Python."""
    rows: dict[str, dict[str, str]] = {}
    versions = [".".join(map(str, v)) for v in SUPPORTED]
    for line in PAGE.read_text().splitlines() if PAGE.exists() else ():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 1 + len(versions):
            rows[cells[0].strip("`")] = dict(zip(versions, cells[1:], strict=True))
    return rows


def write_page(rows: dict[str, dict[str, str]]) -> str:
    versions = [".".join(map(str, v)) for v in SUPPORTED]
    table = [f"| instruction | {' | '.join(versions)} |", f"|---|{'---|' * len(versions)}"]
    table += [f"| `{op}` | {' | '.join(rows[op].get(v, '') for v in versions)} |" for op in sorted(rows)]
    return HEAD + "\n" + "\n".join(table) + "\n"


def test_page_is_up_to_date(bless: bool) -> None:
    here = ".".join(map(str, VERSION))
    rows = read_page()
    for opname in dis.opmap:
        rows.setdefault(opname, {})
    for opname, cells in rows.items():
        cells[here] = status(opname) if opname in dis.opmap else ""
    rows = {op: cells for op, cells in rows.items() if any(cells.values())}
    page = write_page(rows)
    if bless:
        PAGE.write_text(page)
    assert PAGE.read_text() == page, "docs/opcodes.md is stale: run `pytest tests/capture/test_opcodes.py --bless`"


#: bodies of functions, one for every kind of statement
STATEMENTS = {
    "except_star": "try:\n    raise ExceptionGroup('g', [ValueError(1)])\nexcept* ValueError:\n    x = x + 1\nreturn x",
    "match": "match x.shape:\n    case (a, *b) if a:\n        return {'a': a, **{}}\nreturn b",
    "with": "with open(__file__) as f, f as g:\n    return g.name",
    "delete": "y = x\ndel y\nglobal z\nz = 1\ndel z",
    "lambda": "return [lambda i=i, *a, k=x, **b: (i, k) for i in range(2)]",
    "class": "class C:\n    a: int = 1\n    def f(self): return super().__init__()\n    del a\nreturn C",
    "generator": "def g():\n    y = yield x\n    yield from [y]\nreturn list(g())",
    "async": "async def f():\n    async with x as y:\n        async for i in y:\n            await i",
    "format": "return f'{x!r:>{3}} {x} {x:3}'",
    "slices": "y = [1, 2, 3]\ny[1:] = [5]\ndel y[:1]\nreturn y[::2], y[0:1]",
    "imports": "import math as m\nfrom os import path, sep\nreturn m, path",
}


def function_of(body: str) -> Any:
    space: dict[str, Any] = {}
    indented = body.replace("\n", "\n    ")
    exec(f"def f(x):\n    {indented}", space)
    return space["f"]


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_decoded_instruction_has_a_handler(name: str) -> None:
    pending = [function_of(STATEMENTS[name]).__code__]
    while pending:
        code = pending.pop()
        assert {i.op for i in decode(code).instructions} <= set(HANDLERS)
        pending += [c for c in code.co_consts if isinstance(c, type(code))]


def test_refused_statement_breaks_with_its_reason() -> None:
    stop = capture_call(function_of("async def f():\n    pass\nf().close()\nreturn x"), (1,)).stop
    assert stop is not None
    assert stop.reason.id == "async"
