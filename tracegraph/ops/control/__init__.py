"""Ops that hold graphs: branches, loops, gradients of one's own."""
