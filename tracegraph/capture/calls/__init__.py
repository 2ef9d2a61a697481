"""Calls in a trace, by what is called."""
