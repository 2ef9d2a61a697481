"""In-place writes that change histories: of constants, under no_grad, into a view whose base lies outside."""

import tracegraph as tg

LEAVES = []


def leaf(*shape, grad=False):
    t = tg.ones(*shape)
    LEAVES.append(t.requires_grad_(grad))
    return t


def f(x, row, y, z, base):
    x.zero_()
    row.mul_(5)
    with tg.no_grad():
        y.mul_(2)
    z.copy_(row)
    return z + 1


def arguments(grad=False):
    base = leaf(2, 3, grad=grad) * 1
    return (leaf(3, grad=grad) * 1, base[0], leaf(3, grad=grad) * 1, leaf(3) * 1, base)


CALLS = ({}, {"grad": True}, {"grad": True})

if __name__ == "__main__":
    for run in (f, tg.compile(f, backend="eager")):
        for call in CALLS:
            print(run(*arguments(**call)))
