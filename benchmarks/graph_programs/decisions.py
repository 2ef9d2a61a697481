"""Python that asks a tensor for its elements, or seems to."""

import torch

from graph_programs import program


@program("4x8")
def data_dependent_if(x):
    if x.sum() > 0:
        return x * 2
    return x - 1


@program("4x8")
def data_dependent_while(x):
    while x.norm() > 1:
        x = x * 0.5
    return x


@program("4x8")
def item_in_middle(x):
    y = x * 2
    scale = y.abs().max().item()
    return y / max(scale, 1e-6)


@program("4x8")
def int_of_tensor(x):
    n = int(x.abs().sum()) % 3
    return x[:, n:] * 2


@program("4x8")
def float_of_tensor_formatted(x):
    loss = x.mean()
    message = f"loss {loss:.3f} {float(loss):.2f} {loss.item():.1f}"
    return loss * 2, message


@program("4x8")
def ternaries_with_shape(x):
    y = x if x.size(0) > 2 else -x
    z = (x.shape[-1] == 8) and y or x.sum()
    return y, z is y, not x.shape[0] == 3


@program("4x8")
def compiler_checks(x):
    if torch.compiler.is_compiling():
        y = x + 1
    else:
        y = x + 1
    if torch.jit.is_scripting() or torch.jit.is_tracing():
        y = y * 100
    return y


@program("4x8")
def where_and_cond(x):
    return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, (x,))
