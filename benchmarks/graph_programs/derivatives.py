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
