"""What a call costs beside its arithmetic: f(x) = x*2 + 1 on 8 floats, several arguments being summed first.

    python benchmarks/call_overhead.py [--arguments 1,5,20] [--rounds N] [--libraries torch,jax] [--write FILE]

Every way of running the function is checked against numpy, then all are timed in turns, round by round in one
process, so that whatever else the machine does falls on each alike. Medians over the rounds, and their ratio to
numpy, make a table; other libraries appear in it if they can be imported. `--write` replaces the table in a file
between the lines `<!-- call_overhead -->` and `<!-- /call_overhead -->`, or makes the file.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from timeit import timeit
from typing import Any

import numpy as np

import tracegraph as tg

ELEMENTS = 8
#: calls timed in one go
CALLS = 200
MARK = "call_overhead"


@dataclass(frozen=True)
class Way:
    """One way of running the function on `n` arguments.

    Attributes:
        make: from the function and its arrays to a callable without arguments.
        to_numpy: what that returns as an array.
    """

    name: str
    make: Callable[[Callable[..., Any], list[np.ndarray]], Callable[[], Any]]
    to_numpy: Callable[[Any], np.ndarray]


def make_function(arguments: int) -> Callable[..., Any]:
    """The function of so many arguments, written out as a user would."""
    names = [f"x{i}" for i in range(arguments)]
    space: dict[str, Any] = {}
    exec(f"def f({', '.join(names)}):\n    return ({' + '.join(names)}) * 2 + 1\n", space)
    return space["f"]


def called(function: Callable[..., Any], arguments: Sequence[Any]) -> Callable[[], Any]:
    return lambda: function(*arguments)


# ------------------------------------------------------------------------------------------ ways


def numpy_ways() -> list[Way]:
    return [Way("numpy", called, np.asarray)]


def tracegraph_ways() -> list[Way]:
    def eager(function: Callable[..., Any], arrays: list[np.ndarray]) -> Callable[[], Any]:
        return called(function, [tg.tensor(a) for a in arrays])

    def recorded(function: Callable[..., Any], arrays: list[np.ndarray]) -> Callable[[], Any]:
        return called(function, [tg.tensor(a, requires_grad=True) for a in arrays])

    def compiled(function: Callable[..., Any], arrays: list[np.ndarray]) -> Callable[[], Any]:
        # strict: a stage that fails must not be measured as what stands in for it
        return eager(tg.compile(function, fullgraph=True, dynamic=False, options={"strict": True}), arrays)

    def elements(result: tg.Tensor) -> np.ndarray:
        return result.detach().numpy()

    return [
        Way("tracegraph eager", eager, elements),
        Way("tracegraph eager, recorded", recorded, elements),
        Way("tracegraph compiled", compiled, elements),
    ]


def torch_ways() -> list[Way]:
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)

    def eager(function: Callable[..., Any], arrays: list[np.ndarray]) -> Callable[[], Any]:
        return called(function, [torch.tensor(a) for a in arrays])

    def recorded(function: Callable[..., Any], arrays: list[np.ndarray]) -> Callable[[], Any]:
        return called(function, [torch.tensor(a, requires_grad=True) for a in arrays])

    def compiled(function: Callable[..., Any], arrays: list[np.ndarray]) -> Callable[[], Any]:
        return eager(torch.compile(function, fullgraph=True, dynamic=False), arrays)

    def elements(result: Any) -> np.ndarray:
        return result.detach().numpy()

    return [
        Way("torch eager", eager, elements),
        Way("torch eager, recorded", recorded, elements),
        Way("torch.compile", compiled, elements),
    ]


def jax_ways() -> list[Way]:
    jax = importlib.import_module("jax")

    def compiled(function: Callable[..., Any], arrays: list[np.ndarray]) -> Callable[[], Any]:
        jitted = jax.jit(function)
        arguments = [jax.numpy.asarray(a) for a in arrays]
        return lambda: jitted(*arguments).block_until_ready()

    return [Way("jax.jit", compiled, np.asarray)]


#: others that are compared, if they can be imported
PEERS = {"torch": torch_ways, "jax": jax_ways}


def available_ways(peers: Sequence[str]) -> list[Way]:
    """The ways of numpy, of tracegraph, and of the peers that can be imported."""
    found = numpy_ways() + tracegraph_ways()
    for name in peers:
        try:
            found += PEERS[name]()
        except ImportError as e:
            print(f"left out: {e}", file=sys.stderr)
    return found


# ------------------------------------------------------------------------------------------ measurement


def checked(way: Way, function: Callable[..., Any], arrays: list[np.ndarray]) -> Callable[[], Any] | None:
    """The way made ready, its result compared with numpy's; None, with a message, if it does not work here.

    Raises:
        AssertionError: the result is wrong.
    """
    try:
        run = way.make(function, arrays)
        result = way.to_numpy(run())
    except Exception as e:  # another library that is installed but broken
        if way.name.startswith("tracegraph"):
            raise
        print(f"left out: {way.name}: {type(e).__name__}: {str(e).splitlines()[0]}", file=sys.stderr)
        return None
    np.testing.assert_allclose(result, function(*arrays), rtol=1e-6)
    return run


def measure(ways: list[Way], arguments: int, rounds: int) -> dict[str, float]:
    """Median seconds of one call, by way."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(ELEMENTS).astype(np.float32) for _ in range(arguments)]
    function = make_function(arguments)
    runs = {w.name: run for w in ways if (run := checked(w, function, arrays)) is not None}
    for run in runs.values():
        timeit(run, number=CALLS)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(timeit(run, number=CALLS) / CALLS)
    return {name: median(t) for name, t in times.items()}


def table(columns: dict[int, dict[str, float]]) -> str:
    """The medians in microseconds, each with its ratio to numpy's, as Markdown."""
    names = dict.fromkeys(name for column in columns.values() for name in column)
    header = ["µs a call (ratio to numpy)", *(f"{n} argument{'s' if n > 1 else ''}" for n in columns)]
    rows = [
        [name, *(f"{c[name] * 1e6:.2f} ({c[name] / c['numpy']:.1f})" if name in c else "–" for c in columns.values())]
        for name in names
    ]
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, tracegraph {tg.__version__}"
    lines = [
        f"f(x) = x*2 + 1 on {ELEMENTS} floats; {versions}.",
        "",
        *map(_row, (header, ["---"] * len(header), *rows)),
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write(path: Path, text: str) -> None:
    """Put the table between its marks in the file."""
    block = f"<!-- {MARK} -->\n{text}<!-- /{MARK} -->\n"
    old = path.read_text() if path.exists() else ""
    pattern = re.compile(rf"<!-- {MARK} -->\n.*?<!-- /{MARK} -->\n", re.DOTALL)
    path.write_text(pattern.sub(lambda _: block, old) if pattern.search(old) else old + block)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arguments", default="1,5,20", help="how many arguments, separated by commas")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--write", type=Path, metavar="FILE", help="a Markdown file to put the table into")
    parser.add_argument("--libraries", default=",".join(PEERS), help="which to compare with beside numpy")
    options = parser.parse_args(argv)
    ways = available_ways([name for name in options.libraries.split(",") if name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other libraries about themselves
        columns = {n: measure(ways, n, options.rounds) for n in map(int, options.arguments.split(","))}
    text = table(columns)
    print(text, end="")
    if options.write is not None:
        write(options.write, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
