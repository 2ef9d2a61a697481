"""Tensors in a trace: what is more than an operation on them."""
