"""How many graphs programs make, beside torch.compile: what it captures in one graph, tracegraph should too.

    python benchmarks/graph_counts.py [SUBJECT ...] [--program NAME]

Every program of `graph_programs/` is run eagerly and compiled, with tracegraph and with torch, on the same inputs.
Results, arguments afterwards, printed text and exceptions are compared first: compiled with eager, and tracegraph with
torch. Then the graphs of the first call and those that further calls add are counted, in each library by a backend
that runs graphs op by op. A program is one graph if its first call makes one and nothing breaks it. The programs in
which the two differ are listed with the reasons that the libraries give, then a table sums up by subject.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import io
import itertools
import re
import signal
import sys
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import graph_programs
import numpy as np
from graph_programs import Program, arguments_of

FOLDER = Path(graph_programs.__file__).parent
#: a program that takes longer is reported
SECONDS = 60


@dataclass
class Seen:
    """What could be seen of a call: plain data, comparable between libraries."""

    result: Any
    arguments: Any
    printed: str
    error: tuple[str, str] | None


@dataclass
class Run:
    """A program run by one library."""

    eager: list[Seen]
    compiled: list[Seen]
    #: graphs with operations after each call
    graphs: list[int]
    breaks: list[str] = field(default_factory=list)
    failure: str | None = None

    @property
    def is_one_graph(self) -> bool:
        """Whether the first call makes one graph, or needs none, and nothing breaks it."""
        return not self.breaks and bool(self.graphs) and self.graphs[0] <= 1

    @property
    def lacks_something(self) -> bool:
        """Whether the program asks for a name that the library does not have."""
        texts = [self.failure, *(seen.error and seen.error[1] for seen in self.eager)]
        return any(t and t.startswith(("AttributeError", "ImportError", "ModuleNotFoundError")) for t in texts)


# ------------------------------------------------------------------------------------------ libraries


class Library(ABC):
    """What differs between the libraries."""

    name: str

    def __init__(self) -> None:
        self.module = importlib.import_module(self.name)

    def source(self, text: str) -> str:
        """The text of a program for this library."""
        return text

    @abstractmethod
    def compiled(self, target: Any, count: Callable[[], None]) -> Any:
        """The target compiled; `count` is called for each graph."""

    @abstractmethod
    def breaks(self, compiled: Any) -> list[str]:
        """Why graphs ended."""

    def tensor(self, array: np.ndarray) -> Any:
        return self.module.tensor(array)


class Tracegraph(Library):
    """The library of this repository."""

    name = "tracegraph"

    def source(self, text: str) -> str:
        text = re.sub(r"^(\s*)import torch$", r"\1import tracegraph as torch", text, flags=re.MULTILINE)
        return re.sub(r"^(\s*)(from|import) torch\b", r"\1\2 tracegraph", text, flags=re.MULTILINE)

    def compiled(self, target: Any, count: Callable[[], None]) -> Any:
        def backend(module: Any, inputs: Any) -> Any:
            if any(True for _ in module.graph.calls):
                count()
            return module

        self.module.compiler.reset()
        return self.module.compile(target, backend=backend)

    def breaks(self, compiled: Any) -> list[str]:
        from tracegraph.capture.compiled_function import family_of

        family = family_of(getattr(compiled, "__func__", compiled))
        return list(dict.fromkeys(f"{b.location}: {b.detail} [{b.reason.id}]" for _, b in family.breaks)) + [
            str(why) for _, why in family.given_up
        ]


class Torch(Library):
    """The peer."""

    name = "torch"

    def compiled(self, target: Any, count: Callable[[], None]) -> Any:
        def backend(module: Any, inputs: Any) -> Any:
            if any(node.op.startswith("call_") for node in module.graph.nodes):
                count()
            return module.forward

        self.module._dynamo.reset()
        self.module._dynamo.utils.counters.clear()
        return self.module.compile(target, backend=backend)

    def breaks(self, compiled: Any) -> list[str]:
        counters = self.module._dynamo.utils.counters
        reasons = [reason.strip().splitlines()[0] for reason in counters["graph_break"]]
        left_out = counters["frames"]["total"] - counters["frames"]["ok"]
        return reasons + ["a function is left to Python"] * (left_out > 0)


# ------------------------------------------------------------------------------------------ one run


class TooLong(Exception):
    """A program is not done in time."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooLong(f"takes longer than {SECONDS} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def programs_of(path: Path, library: Library) -> dict[str, Program]:
    """The programs of a file, read with this library in the place of torch."""
    graph_programs.collected.clear()
    name = f"{path.stem}_{library.name}"
    module = sys.modules[name] = type(sys)(name)
    module.__file__ = str(path)
    exec(compile(library.source(path.read_text()), str(path), "exec"), module.__dict__)
    return {p.name: p for p in graph_programs.collected}


def run_program(path: Path, name: str, library: Library) -> Run:
    """Run a program eagerly and compiled."""
    run = Run([], [], [])
    try:
        with limited():
            eager = programs_of(path, library)[name]
            calls = eager.calls * (2 if len(eager.calls) == 1 else 1)
            library.module.manual_seed(0)
            target = eager.make()
            library.module.manual_seed(0)
            run.eager = [observe(target, arguments_of(c, library.tensor)) for c in calls]
            count = itertools.count()
            library.module.manual_seed(0)
            compiled = library.compiled(programs_of(path, library)[name].make(), lambda: next(count))
            library.module.manual_seed(0)
            for call in calls:
                run.compiled.append(observe(compiled, arguments_of(call, library.tensor)))
                run.graphs.append(int(re.search(r"\d+", repr(count))[0]))
            run.breaks = library.breaks(compiled)
    except Exception as e:
        run.failure = f"{type(e).__name__}: {e}".split("\n\n")[0]
    return run


def observe(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Seen:
    printed, result, error = io.StringIO(), None, None
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = function(*arguments)
        except TooLong:
            raise
        except Exception as e:
            kinds = [c.__name__ for c in type(e).__mro__ if c.__module__ == "builtins"]
            error = (kinds[0], f"{type(e).__name__}: {str(e)[:300]}")
    return Seen(plain(result), plain(arguments), printed.getvalue(), error)


def plain(value: Any) -> Any:
    """Data without the library: tensors as dtype, requires_grad and elements."""
    if type(value).__name__ in ("Tensor", "Parameter"):
        elements = value.detach()
        if "bfloat16" in str(value.dtype):
            elements = elements.float()
        return ("tensor", str(value.dtype).split(".")[-1], value.requires_grad, np.array(elements.numpy()))
    if isinstance(value, np.ndarray | np.generic):
        return ("array", np.asarray(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return (type(value).__name__, {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | deque):
        return [plain(v) for v in value]
    if type(value) in (int, float, bool, str, bytes, type(None)):
        return value
    if isinstance(value, int | float | str):
        return f"{type(value).__name__}: {value!r}"
    return type(value).__name__


# ------------------------------------------------------------------------------------------ comparison


def difference(a: Any, b: Any, exact_values: bool = True) -> str | None:
    """Where two plain values differ; None if they do not."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if a.shape != b.shape:
            return f"shapes {a.shape} and {b.shape}"
        if exact_values and not np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True):
            return f"values {np.array2string(a.ravel()[:6])} and {np.array2string(b.ravel()[:6])}"
        return None
    if isinstance(a, float) and isinstance(b, float):
        return None if not exact_values or np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True) else f"{a} and {b}"
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        found = (difference(x, y, exact_values) for x, y in zip(a, b, strict=True))
        return next((f for f in found if f), None)
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return next((f"{k}: {f}" for k in a if (f := difference(a[k], b[k], exact_values))), None)
    return None if (a == b or (not exact_values and type(a) is type(b))) else f"{a!r} and {b!r}"[:300]


def seen_difference(a: Sequence[Seen], b: Sequence[Seen], exact_values: bool, exact_text: bool) -> str | None:
    for turn, (x, y) in enumerate(zip(a, b, strict=False)):
        errors = [s.error and (s.error[1] if exact_text else s.error[0]) for s in (x, y)]
        if errors[0] != errors[1]:
            return f"call {turn + 1}: raised {x.error and x.error[1]} and {y.error and y.error[1]}"
        if exact_text and exact_values and x.printed != y.printed:
            return f"call {turn + 1}: printed {x.printed[:80]!r} and {y.printed[:80]!r}"
        found = difference([x.result, x.arguments], [y.result, y.arguments], exact_values)
        if found:
            return f"call {turn + 1}: {found}"
    return None


@dataclass
class Comparison:
    """A program by both libraries."""

    subject: str
    program: Program
    ours: Run
    theirs: Run

    @property
    def unlike_eager(self) -> str | None:
        """What differs between compiled and eager tracegraph."""
        if self.ours.lacks_something:
            return None
        exact_values = not self.program.is_random
        return self.ours.failure or seen_difference(self.ours.compiled, self.ours.eager, exact_values, True)

    @property
    def unlike_torch(self) -> str | None:
        """What differs between tracegraph and torch, both eager: what is missing, above all."""
        if self.ours.failure or self.theirs.failure:
            return self.ours.failure
        return seen_difference(self.ours.eager, self.theirs.eager, not self.program.is_random, False)

    @property
    def recompiles_more(self) -> bool:
        ours, theirs = self.ours.graphs, self.theirs.graphs
        return bool(ours and theirs) and ours[-1] - ours[0] > theirs[-1] - theirs[0] and ours[-1] > theirs[-1]

    def lines(self) -> Iterator[str]:
        """What there is to say, nothing if both do the same."""
        if self.unlike_eager:
            yield f"compiled is not eager: {self.unlike_eager}"
        if self.unlike_torch:
            yield f"tracegraph is not torch: {self.unlike_torch}"
        if self.ours.is_one_graph != self.theirs.is_one_graph or self.recompiles_more:
            yield f"graphs after each call: tracegraph {self.ours.graphs}, torch {self.theirs.graphs}"
            yield from (f"tracegraph: {reason}" for reason in self.ours.breaks)
            yield from (f"torch: {reason}" for reason in self.theirs.breaks)


def compared(path: Path, libraries: tuple[Library, Library], only: str | None = None) -> Iterator[Comparison]:
    """The programs of a file by both libraries, tracegraph first."""
    for name, program in programs_of(path, libraries[1]).items():
        if only in (None, name):
            ours, theirs = (run_program(path, name, library) for library in libraries)
            yield Comparison(path.stem, program, ours, theirs)


#: the columns of the table: title, and which programs it counts
COLUMNS: dict[str, Callable[[Comparison], bool]] = {
    "programs": lambda c: True,
    "one graph: torch": lambda c: c.theirs.is_one_graph,
    "tracegraph": lambda c: c.ours.is_one_graph,
    "torch only": lambda c: c.theirs.is_one_graph and not c.ours.is_one_graph,
    "of these not in tracegraph": lambda c: c.theirs.is_one_graph and c.ours.lacks_something,
    "tracegraph only": lambda c: c.ours.is_one_graph and not c.theirs.is_one_graph,
    "more recompiles": lambda c: c.recompiles_more,
    "compiled is not eager": lambda c: bool(c.unlike_eager),
}


def table(comparisons: Sequence[Comparison]) -> str:
    """Counts by subject, as Markdown."""
    rows = [["subject", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    for subject in dict.fromkeys(c.subject for c in comparisons):
        rows.append([subject, *_counts([c for c in comparisons if c.subject == subject])])
    rows.append(["all", *_counts(comparisons)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _counts(comparisons: Sequence[Comparison]) -> list[str]:
    return [str(sum(map(is_counted, comparisons))) for is_counted in COLUMNS.values()]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", nargs="*", help=f"files of {FOLDER.name}/; all of them if none is named")
    parser.add_argument("--program", help="only the program of this name")
    options = parser.parse_args(argv)
    libraries = Tracegraph(), Torch()
    found = []
    for path in sorted(FOLDER.glob("[!_]*.py")):
        if options.subjects and path.stem not in options.subjects:
            continue
        for comparison in compared(path, libraries, options.program):
            found.append(comparison)
            text = [f"    {line}" for line in comparison.lines()]
            print(*([f"{path.stem}.{comparison.program.name}", *text] if text else ()), sep="\n", end="\n" * bool(text))
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
