"""Functions of functions (`torch.func`): modules called with other parameters, derivatives."""

from tracegraph.func.derivatives import grad, grad_and_value, jvp, vjp
from tracegraph.func.functional_call import functional_call
from tracegraph.func.jacobians import hessian, jacfwd, jacrev

__all__ = ["functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp"]
