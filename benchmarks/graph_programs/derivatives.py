"""Derivatives as part of a program, transforms of functions, functions with a gradient of their own."""

import torch
import torch.nn as nn

from graph_programs import made, program


@made("4x2~")
def pinn_residual():
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def residual(xt):
        u = net(xt)
        g = torch.autograd.grad(u.sum(), xt, create_graph=True)[0]
        uxx = torch.autograd.grad(g[:, 0].sum(), xt, create_graph=True)[0][:, 0]
        return (g[:, 1] - 0.1 * uxx).pow(2).mean()

    return residual


@program("4x3")
def vmapped(x):
    from torch.func import vmap

    return vmap(torch.dot)(x, x)


@made("5x4 5x2")
def per_sample_gradients():
    from torch.func import functional_call, grad, vmap

    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))

    def loss(params, x, y):
        return nn.functional.mse_loss(functional_call(net, params, (x.unsqueeze(0),)), y.unsqueeze(0))

    def run(x, y):
        params = {name: p.detach() for name, p in net.named_parameters()}
        found = vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y)
        return {name: g.flatten(1).norm(dim=1) for name, g in found.items()}

    return run


@made("5x4")
def ensemble():
    from torch.func import functional_call, stack_module_state, vmap

    models = [nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1)) for _ in range(3)]
    for i, model in enumerate(models):
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.linspace(-1, 1, p.numel()).reshape(p.shape) * (i + 1))
    params, buffers = stack_module_state(models)

    def run(x):
        return vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)), in_dims=(0, 0, None))(params, buffers, x)

    return run


@program("3x4 4")
def batched_hessians(x, w):
    from torch.func import hessian, jacrev, vmap

    def energy(row):
        return ((row * w).sin() * row.sum()).sum()

    return vmap(hessian(energy))(x), vmap(jacrev(lambda row: torch.outer(row, w)))(x)


@program("3x4 4")
def nested_vmap(x, w):
    from torch.func import vmap

    distances = vmap(vmap(lambda a, b: (a - b).pow(2).sum(), in_dims=(None, 0)), in_dims=(0, None))(x, x)
    return distances, vmap(lambda row: torch.where(row > 0, row * w, row.exp()), in_dims=1, out_dims=-1)(x.T)


@program("4x3")
def grad_transform(x):
    from torch.func import grad, jacrev

    return grad(lambda x: (x**3).sum())(x), jacrev(torch.sin)(x[0])


@program("4x3")
def jvp_transform(x):
    return torch.func.jvp(torch.sin, (x,), (torch.ones_like(x),))


@program("4x3")
def functional_jacobian(x):
    return torch.autograd.functional.jacobian(lambda a: a.sin(), x[0])


@program("4x8 4x8~")
def custom_function(x, w):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a * a

        @staticmethod
        def backward(ctx, g):
            (a,) = ctx.saved_tensors
            return 2 * a * g

    return Square.apply(w) + x


@made("4x8~")
def straight_through():
    class Sign(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a.sign()

        @staticmethod
        def backward(ctx, g):
            (a,) = ctx.saved_tensors
            return g * (a.abs() <= 1)

    def run(x):
        y = Sign.apply(x).sum()
        y.backward()
        return x.grad

    return run
