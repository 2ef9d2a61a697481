"""Watching the compiler at work: every stage reports its product and its time; whoever listens gets them.

with stages.recorded() as log:
    compiled(x)
for product in log:
    print(product.stage, product.title, product.seconds, product.text())
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tracegraph.compiler.compile_times import PROCESS
from tracegraph.errors import CompileError, TracegraphError

T = TypeVar("T")

#: the stages in order; `tracegraph dump --stage NAME` takes these names
STAGES = (
    "capture",
    "functionalise",
    "joint",
    "simplify",
    "partition",
    "optimise",
    "fuse",
    "plan",
    "lower",
    "schedule",
    "emit",
    "load",
)


@dataclass(frozen=True)
class Product:
    """What a stage made: which stage, of which graph, in how many seconds; `shown` makes its text when asked."""

    stage: str
    title: str
    product: Any
    seconds: float
    shown: Callable[[Any], str]

    def text(self) -> str:
        """The text form of the product."""
        return self.shown(self.product)


def as_text(product: Any) -> str:
    """The text of a product, or of each one of several."""
    if isinstance(product, list | tuple):
        return "\n\n".join(map(str, product))
    return str(product)


_LOG: contextvars.ContextVar[list[Product] | None] = contextvars.ContextVar("tracegraph_stages", default=None)


@contextmanager
def recorded() -> Iterator[list[Product]]:
    """Collect the products of every stage that runs inside the block, on this thread."""
    log: list[Product] = []
    token = _LOG.set(log)
    try:
        yield log
    finally:
        _LOG.reset(token)


def run(stage: str, title: str, function: Callable[..., T], /, *args: Any, shown: Callable[[T], str] = as_text) -> T:
    """Run one stage, `function(*args)`, and report its product, whose text `shown` makes.

    Raises:
        TracegraphError, RecursionError, MemoryError: from the stage, as it is.
        CompileError: any other exception of the stage; names the stage and what it worked on.
    """
    start = time.perf_counter()
    try:
        product = function(*args)
    except (TracegraphError, RecursionError, MemoryError):
        raise
    except Exception as e:
        raise CompileError(f"stage {stage} failed on {title}: {type(e).__name__}: {e}") from e
    report(stage, title, product, time.perf_counter() - start, shown)
    return product


def report(stage: str, title: str, product: T, seconds: float, shown: Callable[[T], str] = as_text) -> None:
    """Tell the listener, if there is one, of a product; its time counts for `compile_times` in any case."""
    PROCESS.note(stage, seconds)
    log = _LOG.get()
    if log is not None:
        log.append(Product(stage, title, product, seconds, shown))
