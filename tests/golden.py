"""Golden files of passes: IR text in, a pass, IR text out, and a proof by test that the meaning stayed.

A `.tg` file holds one case or several, each of this form:

    // pass: cse
    // Equal calls are made once.          (any further comment lines)
    graph twice(%x: f32[4]) {
      ...
    }
    // expect
    graph twice(%x: f32[4]) {
      ...
    }

`// pass: a, b` runs two passes in order; `// sizes: s0=3, s1=5` chooses the sizes to interpret at (by default
2, 3, 4, ...). The text `// expect unchanged` stands for a copy of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from agreement import assert_agree

from tracegraph import ir
from tracegraph.ir import dim as dims
from tracegraph.ir.printer import constant_digest

Pass = Callable[[ir.Graph], ir.Graph]

HEADER, SIZES, EXPECT = "// pass:", "// sizes:", "// expect"
UNCHANGED = f"{EXPECT} unchanged"


@dataclass(frozen=True)
class Case:
    """One case of a golden file."""

    path: Path
    index: int
    header: str
    source: str
    expected: str

    @property
    def passes(self) -> list[str]:
        return [name.strip() for name in self.header.splitlines()[0].removeprefix(HEADER).split(",")]

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes the header chooses."""
        lines = [line.removeprefix(SIZES) for line in self.header.splitlines() if line.startswith(SIZES)]
        pairs = [pair.split("=") for line in lines for pair in line.split(",")]
        return {name.strip(): int(size) for name, size in pairs}

    def __str__(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}" + (f"-{self.index}" if self.index else "")


def read(path: Path) -> list[Case]:
    """The cases of a golden file; ValueError if it has not the form above."""
    _, *chunks = ("\n" + path.read_text()).split("\n" + HEADER)
    if not chunks:
        raise ValueError(f"{path}: no case; a case begins with '{HEADER} NAME'")
    return [_case(path, index, HEADER + chunk) for index, chunk in enumerate(chunks)]


def _case(path: Path, index: int, text: str) -> Case:
    lines = text.strip().splitlines()
    start = next((i for i, line in enumerate(lines) if not line.startswith("//")), len(lines))
    marks = [i for i, line in enumerate(lines) if line.startswith(EXPECT)]
    if len(marks) != 1 or marks[0] < start:
        raise ValueError(f"{path}: case {index} needs one graph, one line '{EXPECT}', and the graph expected")
    header, source = "\n".join(lines[:start]), "\n".join(lines[start : marks[0]]).strip()
    expected = source if lines[marks[0]] == UNCHANGED else "\n".join(lines[marks[0] + 1 :]).strip()
    return Case(path, index, header, source, expected)


def collect(folder: Path) -> Iterator[Case]:
    """All cases in the golden files below `folder`."""
    for path in sorted(folder.rglob("*.tg")):
        yield from read(path)


def check(case: Case, lookup: Callable[[str], Pass], bless: bool = False) -> None:
    """Run one case.

    The input round-trips through parser and printer; the passes give the expected text; the result verifies
    and computes what the input computes. With `bless`, the file's expectation becomes the text obtained.
    """
    graph = ir.verify(ir.parse(case.source))
    assert str(graph) == case.source, f"{case.path}: the input is not in printed form; it prints as\n{graph}"
    result = graph
    for name in case.passes:
        result = ir.verify(lookup(name)(result))
    assert str(graph) == case.source, f"{case.path}: the pass changed its input"
    text = str(result)
    if bless and text != case.expected:
        rewrite(case, text)
    else:
        assert text == case.expected
    assert str(ir.parse(text, constants(result))) == text
    check_same_meaning(graph, result, case.sizes)


def constants(graph: ir.Graph) -> dict[str, np.ndarray]:
    """The constants of a graph by digest, as the parser wants those too large to print."""
    arrays = [value.node.target for value in graph.constants]
    return {constant_digest(array): array for array in arrays if isinstance(array, np.ndarray)}


def rewrite(case: Case, expected: str) -> None:
    """Replace the expectation of one case in its file."""
    blocks = []
    for other in read(case.path):
        wanted = expected if other.index == case.index else other.expected
        tail = UNCHANGED if wanted == other.source else f"{EXPECT}\n{wanted}"
        blocks.append(f"{other.header}\n{other.source}\n{tail}\n")
    case.path.write_text("\n".join(blocks))


def check_same_meaning(before: ir.Graph, after: ir.Graph, sizes: dict[str, int] | None = None) -> None:
    """Both graphs give the same values and dtypes on the same random inputs."""
    inputs = random_inputs(before, sizes or {})
    wanted = ir.interpret(before, *(array.copy() for array in inputs))
    found = ir.interpret(after, *(array.copy() for array in inputs))
    assert len(found) == len(wanted)
    for position, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert_agree(np.asarray(a), np.asarray(b), f"output {position}")


def random_inputs(graph: ir.Graph, sizes: dict[str, int]) -> list[np.ndarray]:
    """Arrays that fit the placeholders."""
    rng = np.random.default_rng(0)
    chosen = _bound(graph, sizes)
    return [random_array(rng, value.type, chosen) for value in graph.placeholders]


def _bound(graph: ir.Graph, sizes: dict[str, int]) -> dict[str, int]:
    """A size for every symbol of the inputs, as chosen or counted up from 2."""
    names = {name for value in graph.placeholders for dim in value.type.shape for name in dims.symbols(dim)}
    return {name: size for size, name in enumerate(sorted(names), start=2)} | sizes


def random_array(rng: np.random.Generator, type: ir.TensorType, sizes: dict[str, int]) -> np.ndarray:
    """A random array of this type; integers are 0 or 1, so that they serve as indices too."""
    shape = tuple(int(dims.evaluate(dim, sizes)) for dim in type.shape)
    if type.dtype.is_floating:
        return np.asarray(rng.standard_normal(shape)).astype(type.dtype.np)
    return np.asarray(rng.integers(0, 2, shape)).astype(type.dtype.np)
