"""Deterministic algorithms: asked for, recorded, and given anyway.

Every op gives the same bits in every run on the same machine: sums go over their operands in a fixed order.
"""

from __future__ import annotations

from tracegraph.settings import Settings


class _Algorithms(Settings):
    """Of the process: whether only deterministic algorithms are wanted."""

    questions = {
        "deterministic": "are_deterministic_algorithms_enabled()",
        "warn_only": "is_deterministic_algorithms_warn_only_enabled()",
    }
    deterministic: bool = False
    warn_only: bool = False


ALGORITHMS = _Algorithms.register()


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for deterministic algorithms, which all are; programs can ask whether this was asked for."""
    ALGORITHMS.deterministic = bool(mode)
    ALGORITHMS.warn_only = bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was last given; False at first."""
    return ALGORITHMS.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """The `warn_only` that `use_deterministic_algorithms` was last given."""
    return ALGORITHMS.warn_only
