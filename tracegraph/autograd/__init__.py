"""Reverse-mode differentiation of eager tensors by a tape."""

from tracegraph.autograd import functional
from tracegraph.autograd.engine import backward, grad
from tracegraph.autograd.function import Function
from tracegraph.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from tracegraph.autograd.gradcheck import gradcheck

__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]
