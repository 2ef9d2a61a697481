"""What a capture leaves behind: a driver that runs the graph, replays effects, and goes on where it ended."""
