"""Attributes and classes in a trace: reading, writing, and what is asked of types."""
