"""An in-place operation on a leaf that requires grad is an error, which the program handles itself."""

import contextlib

import tracegraph as tg

LEAVES = []


def leaf(*shape, grad=False):
    t = tg.ones(*shape)
    LEAVES.append(t.requires_grad_(grad))
    return t


def f(x):
    log = []
    with contextlib.suppress(RuntimeError):
        x.mul_(2)
        log.append("no leaf")
    try:
        x[0] = 5.0
    except RuntimeError as error:
        log.append(str(error))
    return x * 3, log


def arguments(grad=False):
    return (leaf(3, grad=grad),)


CALLS = ({}, {"grad": True}, {})

if __name__ == "__main__":
    for run in (f, tg.compile(f, backend="eager")):
        for call in CALLS:
            print(run(*arguments(**call)))
