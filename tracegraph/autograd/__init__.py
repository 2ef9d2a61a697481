"""Reverse-mode differentiation of eager tensors by a tape."""

from tracegraph import profiler
from tracegraph.autograd import functional
from tracegraph.autograd.anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from tracegraph.autograd.engine import backward, grad
from tracegraph.autograd.function import Function, once_differentiable
from tracegraph.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from tracegraph.autograd.gradcheck import gradcheck
from tracegraph.autograd.variable import Variable
from tracegraph.module_names import names_below

__getattr__ = names_below(__name__)

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "once_differentiable",
    "profiler",
    "set_detect_anomaly",
    "set_grad_enabled",
]
