"""One trace: its frames, its graph, what it read, wrote and made."""
