"""The native program of a graph: its steps, what it is called with, and how it calls back."""
