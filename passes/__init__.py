"""Graph to graph: the optimising passes, fusion and memory planning (installed as `tracegraph.passes`)."""

from tracegraph.passes.fuse import fuse
from tracegraph.passes.pass_manager import PASSES, Pass, PassRun, find_pass, graph_pass, run_passes, summary
from tracegraph.passes.pipeline import optimise, optimise_joint, optimising_passes
from tracegraph.passes.plan_memory import plan_memory

__all__ = [
    "PASSES",
    "Pass",
    "PassRun",
    "find_pass",
    "fuse",
    "graph_pass",
    "optimise",
    "optimise_joint",
    "optimising_passes",
    "plan_memory",
    "run_passes",
    "summary",
]
