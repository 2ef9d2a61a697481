"""Ahead of time: mutation out of a captured graph, its gradient, and the cut into a forward and a backward graph.

`functionalise` -> `differentiate` -> `partition_default` or `partition_min_cut`; each is a plain function of a graph.
"""

from tracegraph.aot.functionalise import functionalise
from tracegraph.aot.joint import Joint, differentiate
from tracegraph.aot.min_cut import partition_min_cut
from tracegraph.aot.partition import Partition, partition_default
from tracegraph.aot.record import (
    Detached,
    FromInput,
    FromOutput,
    MutationRecord,
    Static,
    ViewChain,
    ViewOfResult,
    WriteBack,
)

__all__ = [
    "Detached",
    "FromInput",
    "FromOutput",
    "Joint",
    "MutationRecord",
    "Partition",
    "Static",
    "ViewChain",
    "ViewOfResult",
    "WriteBack",
    "differentiate",
    "functionalise",
    "partition_default",
    "partition_min_cut",
]
