"""Functions of functions (`torch.func`): modules called with other parameters, derivatives."""

from tracegraph.func.derivatives import grad, grad_and_value, jvp, vjp
from tracegraph.func.functional_call import functional_call
from tracegraph.func.jacobians import hessian, jacfwd, jacrev
from tracegraph.func.mapped_modules import replace_all_batch_norm_modules_, stack_module_state
from tracegraph.func.vmap import vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]
