"""Graph to graph: the optimising passes, fusion and memory planning (installed as `tracegraph.passes`)."""

from tracegraph.passes.pass_manager import PASSES, Pass, PassRun, find_pass, graph_pass, run_passes, summary
from tracegraph.passes.pipeline import optimise, optimising_passes

__all__ = [
    "PASSES",
    "Pass",
    "PassRun",
    "find_pass",
    "graph_pass",
    "optimise",
    "optimising_passes",
    "run_passes",
    "summary",
]
