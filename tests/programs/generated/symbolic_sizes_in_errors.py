"""Errors that name a size which varies, handled by the program; a write of a fixed size into one that varies."""

import tracegraph as tg

LEAVES = []
LOG = []


def f(x, i):
    x += tg.ones(x.shape[0], 3)
    x[1] += tg.ones(3)
    try:
        x = x + x[i]
        return x @ x
    except RuntimeError as error:
        LOG.append(str(error))
    except IndexError as error:
        LOG.append(str(error))
    return x * 2


def arguments(rows=2, i=0):
    return (tg.ones(rows, 3), i)


CALLS = ({}, {"rows": 4}, {"rows": 5, "i": 7}, {"rows": 3, "i": 9}, {"rows": 3})

if __name__ == "__main__":
    for run in (f, tg.compile(f, backend="eager")):
        for call in CALLS:
            print(run(*arguments(**call)))
