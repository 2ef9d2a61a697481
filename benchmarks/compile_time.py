"""How long the first call of a compiled function takes, stage by stage, with nothing cached.

    python benchmarks/compile_time.py [--repeat 5] [--warm] [program ...]

Each program is one training step of an example, forward and backward. Object code and kernels are forgotten before
every compilation; shown is the median of the fresh compilations. `rest` is what no stage accounts for: capture, guards,
and the first run itself. With `--warm`, object code is found on disk, as in a process that is started again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

import tracegraph as tg
from tracegraph.codegen.llvm import disk_cache, jit
from tracegraph.codegen.native.kernel_store import STORE
from tracegraph.compiler import stages

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from examples import char_transformer, lstm_sine, train_digits

#: a function and its arguments
Program = tuple[Callable[..., tg.Tensor], tuple[object, ...]]
VOCABULARY = 80


def line() -> Program:
    """x * 2 + 1."""
    return lambda x: x * 2.0 + 1.0, (tg.randn(64, 64, requires_grad=True),)


def mlp() -> Program:
    """The digits MLP."""
    return train_digits.loss_of, (train_digits.MLP(), tg.randn(64, 1, 8, 8), tg.randint(0, 10, (64,)))


def cnn() -> Program:
    """The digits CNN."""
    return train_digits.loss_of, train_digits.step_inputs()


def lstm() -> Program:
    """The forecaster, 24 steps unrolled."""
    batch, window = lstm_sine.BATCH, lstm_sine.WINDOW
    return lstm_sine.loss_of, (lstm_sine.Forecaster(lstm_sine.HIDDEN), tg.randn(batch, window), tg.randn(batch, 1))


def transformer() -> Program:
    """The character Transformer."""
    shape = (char_transformer.BATCH, char_transformer.CONTEXT)
    model = char_transformer.CharTransformer(VOCABULARY)
    return char_transformer.loss_of, (model, tg.randint(0, VOCABULARY, shape), tg.randint(0, VOCABULARY, shape))


PROGRAMS = {"x*2+1": line, "MLP": mlp, "CNN": cnn, "LSTM": lstm, "Transformer": transformer}
#: `capture` has no time of its own, `backend` is the sum of the others
SHOWN = [stage for stage in stages.STAGES if stage != "capture"]


def compilation(program: Program) -> dict[str, float]:
    """Seconds of each stage, and the total, of a first call with its backward pass that finds nothing in memory."""
    function, arguments = program
    jit.OBJECTS.clear()
    STORE.clear()
    with stages.recorded() as log:
        start = time.perf_counter()
        tg.compile(function, options={"strict": True})(*arguments).sum().backward()
        total = time.perf_counter() - start
    seconds = {stage: sum(p.seconds for p in log if p.stage == stage) for stage in SHOWN}
    return seconds | {"rest": total - sum(seconds.values()), "total": total}


def measured(names: Sequence[str], repeat: int) -> dict[str, list[dict[str, float]]]:
    """The compilations of each program but the first, which may fill the cache on disk."""
    tg.manual_seed(0)
    compilation(line())  # imports and the JIT's own start are no program's business
    return {name: [compilation(PROGRAMS[name]()) for _ in range(1 + repeat)][1:] for name in names}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", help=f"some of {', '.join(PROGRAMS)}")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--warm", action="store_true", help="find object code on disk")
    arguments = parser.parse_args()
    names = arguments.programs or list(PROGRAMS)
    if unknown := [name for name in names if name not in PROGRAMS]:
        parser.error(f"no program {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
    table = Table(title=f"{'warm' if arguments.warm else 'cold'} compile time in ms, median of {arguments.repeat}")
    table.add_column("stage")
    for name in names:
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {disk_cache.SWITCH: str(int(arguments.warm)), disk_cache.FOLDER: folder}
        runs = measured(names, arguments.repeat)
    for stage in [*SHOWN, "rest", "total"]:
        table.add_row(
            stage, *(f"{1e3 * median(run[stage] for run in runs[name]):.1f}" for name in names),
            end_section=stage == "rest",
        )  # fmt: skip
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
