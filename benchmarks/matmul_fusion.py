"""When one product of matrices put side by side beats several: the measure of the pass `matmul_fusion`.

    python benchmarks/matmul_fusion.py [--return] [--rounds 20] [--seconds 0.01] [rows,inner,columns,products ...]

x @ w1, x @ w2, ... are compiled as they are, and as one product with the w's put together first. Both run in turns in
one process, results compared. The sums of the results are returned, or with --return the results themselves, which
must be copied then. The table has the medians and what the pass decides; a decision that costs more than a tenth is
marked. The pass weighs elements copied against elements of x read again plus CALL_OVERHEAD for each call saved.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from timeit import Timer

import numpy as np
from rich.console import Console
from rich.table import Table

from tracegraph import ir
from tracegraph.codegen.compile import compile_program
from tracegraph.dtypes import float32
from tracegraph.ir import Builder, Graph, TensorType, Value, lookup
from tracegraph.passes import fuse, plan_memory
from tracegraph.passes.matmul_fusion import matmul_fusion

#: rows of the common factor, its columns, columns of each other factor, number of products
SHAPES = ("1,64,64,3", "32,64,64,3", "256,64,64,3", "256,256,32,2", "1024,64,16,2", "64,256,256,3", "1024,256,256,3")


@dataclass(frozen=True)
class Shape:
    """`products` products of [rows, inner] with [inner, columns]."""

    rows: int
    inner: int
    columns: int
    products: int

    def __str__(self) -> str:
        return f"[{self.rows}, {self.inner}] @ {self.products} x [{self.inner}, {self.columns}]"


def ended(builder: Builder, results: Sequence[Value], is_returned: bool) -> Graph:
    """The graph that returns the results, or what is left of them in a kernel that reads all."""
    if is_returned:
        return builder.output(*results)
    return builder.output(*(builder.call(lookup("sum"), r, dim=None, keepdim=False) for r in results))


def separate(shape: Shape, is_returned: bool) -> Graph:
    """The products, one by one."""
    builder = Builder("separate")
    x = builder.placeholder(TensorType(float32, (shape.rows, shape.inner)), "x")
    others = [builder.placeholder(TensorType(float32, (shape.inner, shape.columns))) for _ in range(shape.products)]
    return ended(builder, [builder.call(lookup("matmul"), x, w) for w in others], is_returned)


def together(shape: Shape, is_returned: bool) -> Graph:
    """One product, and the parts of its result."""
    builder = Builder("together")
    x = builder.placeholder(TensorType(float32, (shape.rows, shape.inner)), "x")
    others = [builder.placeholder(TensorType(float32, (shape.inner, shape.columns))) for _ in range(shape.products)]
    product = builder.call(lookup("matmul"), x, builder.call(lookup("cat"), *others, dim=1))
    starts = range(0, shape.products * shape.columns, shape.columns)
    rows = (0, shape.rows, 1)
    parts = [builder.call(lookup("basic_index"), product, index=(rows, (s, s + shape.columns, 1))) for s in starts]
    return ended(builder, parts, is_returned)


def runner(graph: Graph, arrays: Sequence[np.ndarray]) -> Callable[[], Sequence[np.ndarray]]:
    """The compiled graph, ready to run on these arrays."""
    executable = compile_program(plan_memory(fuse(ir.verify(graph))))
    return lambda: executable(arrays)


def medians(runs: Sequence[Callable[[], object]], rounds: int, seconds: float) -> list[float]:
    """Median seconds of one call of each, taken in turns; each turn lasts about `seconds`."""
    numbers = [max(1, round(seconds / max(Timer(run).timeit(3) / 3, 1e-9))) for run in runs]
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for taken, run, number in zip(times, runs, numbers, strict=True):
            taken.append(Timer(run).timeit(number) / number)
    return [median(t) for t in times]


@dataclass(frozen=True)
class Measurement:
    """Seconds of the products one by one, and of one product; what the pass does."""

    separate: float
    together: float
    is_fused: bool

    @property
    def is_costly(self) -> bool:
        """Whether the decision costs more than a tenth of the better time."""
        chosen = self.together if self.is_fused else self.separate
        return chosen > 1.1 * min(self.separate, self.together)


def measure(shape: Shape, is_returned: bool, rounds: int, seconds: float) -> Measurement:
    """Compile both ways, compare their results, and time them.

    Raises:
        AssertionError: the results differ.
    """
    rng = np.random.default_rng(0)
    x = rng.standard_normal((shape.rows, shape.inner), dtype=np.float32)
    others = [rng.standard_normal((shape.inner, shape.columns), dtype=np.float32) for _ in range(shape.products)]
    graph = separate(shape, is_returned)
    runs = [runner(g, [x, *others]) for g in (graph, together(shape, is_returned))]
    for a, b in zip(runs[0](), runs[1](), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-2)
    is_fused = sum(n.call_op is lookup("matmul") for n in matmul_fusion(graph).calls) == 1
    return Measurement(*medians(runs, rounds, seconds), is_fused)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", help="rows,inner,columns,products of each row of the table")
    parser.add_argument("--return", action="store_true", dest="is_returned", help="return the products themselves")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.01, help="of one turn")
    arguments = parser.parse_args(argv)
    table = Table(title="products with a common factor: µs a call")
    for column in ("shapes", "one by one", "together", "ratio", "the pass"):
        table.add_column(column, justify="left" if column == "shapes" else "right")
    for text in arguments.shapes or SHAPES:
        shape = Shape(*map(int, text.split(",")))
        m = measure(shape, arguments.is_returned, arguments.rounds, arguments.seconds)
        times = (f"{1e6 * t:.1f}" for t in (m.separate, m.together))
        decision = ("together" if m.is_fused else "one by one") + (" (!)" if m.is_costly else "")
        table.add_row(str(shape), *times, f"{m.together / m.separate:.2f}", decision)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
