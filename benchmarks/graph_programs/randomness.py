"""Random numbers."""

import torch
import torch.nn.functional as F

from graph_programs import program


@program("4x3", is_random=True)
def random_ops(x):
    return (
        torch.rand(2, 3),
        torch.randn_like(x),
        torch.randint(0, 5, (3,)),
        torch.bernoulli(torch.full((2, 2), 0.5)),
        x.clone().normal_(),
        x.clone().uniform_(-1, 1),
        F.dropout(x, 0.5),
        torch.empty(2, 2).exponential_(),
        torch.normal(0.0, 1.0, (2,)),
        torch.poisson(x.abs()),
    )


@program("4x3", is_random=True)
def random_with_generator(x):
    g = torch.Generator().manual_seed(3)
    return x + torch.rand(4, 3, generator=g)


@program("4x3", is_random=True)
def seeded_in_call(x):
    torch.manual_seed(0)
    return x + torch.randn(4, 3)
