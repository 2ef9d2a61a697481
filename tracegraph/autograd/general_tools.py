"""What is reached as `tracegraph.utils`, PyTorch's name for it."""

from tracegraph.autograd import checkpoint

__all__ = ["checkpoint"]
