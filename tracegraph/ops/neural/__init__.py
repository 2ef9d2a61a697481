"""Ops of the layers of neural networks."""
