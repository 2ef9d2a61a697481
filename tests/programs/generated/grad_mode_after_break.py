"""A graph that begins outside grad mode, in a part of the function resumed there, and ends in it."""

import tracegraph as tg

LEAVES = []


def leaf(*shape, grad=False):
    t = tg.ones(*shape)
    LEAVES.append(t.requires_grad_(grad))
    return t


def f(x):
    with tg.no_grad():
        print("outside")
        y = x * 2
    x.mul_(5)
    return x * y


def arguments(grad=True):
    return (leaf(3, grad=grad) * 1,)


CALLS = ({}, {"grad": False})

if __name__ == "__main__":
    for run in (f, tg.compile(f, backend="eager")):
        for call in CALLS:
            print(run(*arguments(**call)))
