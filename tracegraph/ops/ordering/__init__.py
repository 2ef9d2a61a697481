"""Ops that compare the elements of one tensor with each other: sorting, searching, counting what differs."""
