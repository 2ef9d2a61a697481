"""Graph to graph: the optimising passes, fusion and memory planning (installed as `tracegraph.passes`)."""
