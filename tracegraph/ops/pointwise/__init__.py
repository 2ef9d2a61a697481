"""Ops of one element of each operand."""
