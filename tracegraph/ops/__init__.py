"""All op definitions. Importing this package registers every op; add a family here, each on a line of its own."""

from tracegraph.ir.op import REGISTRY
from tracegraph.ops import (
    arithmetic,
    functional,
)


def names() -> list[str]:
    """Names of all ops, sorted."""
    return sorted(REGISTRY)


__all__ = [
    "arithmetic",
    "functional",
    "names",
]
