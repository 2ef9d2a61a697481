"""From a node of a graph, or the body of a fused one, to a kernel in loop IR."""
