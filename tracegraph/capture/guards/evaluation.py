"""Sources evaluated for the arguments of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tracegraph.capture.guards.generated_code import code_of
from tracegraph.capture.guards.sources import Pool, Source, SourceWriter
from tracegraph.capture.stack.storage import MISSING


def compile_reader(sources: Sequence[Source]) -> Callable[[Sequence[Any], tuple[Any, ...]], tuple[Any, ...]]:
    """`read(args, cells)`, the values at `sources`; it raises whatever a path that leads nowhere raises."""
    return compile_values(lambda writer: map(writer.name, sources), "args, cells")


def compile_values(
    write: Callable[[SourceWriter], Iterable[str]], parameters: str, known: Mapping[Source, str] | None = None
) -> Callable[..., tuple[Any, ...]]:
    """A function of `parameters` that gives a tuple: of what the expressions that `write` writes stand for.

    Args:
        known: the sources that the parameters are, as expressions.
    """
    writer = SourceWriter(Pool(), known)
    result = "".join(f"{value}, " for value in write(writer))
    body = "".join(f"    {line}\n" for line in [*writer.lines, f"return ({result})"])
    namespace = writer.pool.names
    exec(code_of(f"def read({parameters}):\n{body}", "<sources>"), namespace)
    read: Callable[..., tuple[Any, ...]] = namespace["read"]
    return read


def evaluate(source: Source, args: Sequence[Any], cells: tuple[Any, ...]) -> Any:
    """The value at `source`, or MISSING if the path no longer leads anywhere."""
    read = compile_reader((source,))
    try:
        return read(args, cells)[0]
    except Exception:  # whatever a broken path raises, there is no value
        return MISSING
