"""The default generator under the name of PyTorch's module: its seed, its state, blocks that leave it unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tracegraph.ops.random.generator import (
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)

__all__ = ["default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]


@contextmanager
def fork_rng(devices: Iterable[Any] | None = None, enabled: bool = True) -> Iterator[None]:
    """A block after which the default generator goes on as if nothing had been drawn or seeded in it
    (`torch.random.fork_rng`).

    Args:
        devices: accepted for compatibility; there is one generator, the CPU's.
        enabled: False does nothing.

    >>> import tracegraph as tg
    >>> _ = tg.manual_seed(0)
    >>> with tg.random.fork_rng():
    ...     first = tg.rand(2)
    >>> first.tolist() == tg.rand(2).tolist()
    True
    """
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
