"""A graph-capture compiler for eager tensor programs."""

__version__ = "0.1.0"
