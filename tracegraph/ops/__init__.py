"""All op definitions. Importing this package registers every op; add a family here, each on a line of its own."""

from tracegraph.ir.op import REGISTRY
from tracegraph.ops import (
    arithmetic,
    basic_index,
    comparison,
    conversion,
    creation,
    effects,
    exponential,
    extrema,
    functional,
    joining,
    powers,
    rearranging,
    reductions,
    selection,
    views,
)


def names() -> list[str]:
    """Names of all ops, sorted."""
    return sorted(REGISTRY)


__all__ = [
    "arithmetic",
    "basic_index",
    "comparison",
    "conversion",
    "creation",
    "effects",
    "exponential",
    "extrema",
    "functional",
    "joining",
    "names",
    "powers",
    "rearranging",
    "reductions",
    "selection",
    "views",
]
