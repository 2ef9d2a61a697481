"""From symbolic values back to real ones: the Python that rebuilds them after the graph has run, by kind of value."""
