"""Functions on parameters and sequences, gathered under PyTorch's name for them: `nn.utils`."""

from tracegraph.module_names import names_below
from tracegraph.nn import parametrizations, parametrize
from tracegraph.nn import sequence_tools as rnn
from tracegraph.nn.gradient_clipping import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from tracegraph.nn.parameter_vectors import parameters_to_vector, vector_to_parameters
from tracegraph.nn.spectral_norm import remove_spectral_norm, spectral_norm
from tracegraph.nn.weight_norm import remove_weight_norm, weight_norm

__getattr__ = names_below(__name__)

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]
