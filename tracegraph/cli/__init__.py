"""The `tracegraph` command: looks at every stage of the compiler; knows all layers, and none knows it."""
