"""Capture: from a Python call to a graph, guards, and a driver that replays everything else."""
