"""A division of ints that vary, by zero at last: its result is in no graph, and the program handles the error."""

import tracegraph as tg

LEAVES = []
LOG = []


def f(x, n):
    try:
        LOG.append(1 // (n % 3))
        LOG.append((n + 1) // (n + 1))
    except ZeroDivisionError as error:
        LOG.append(str(error))
        return x
    return x * 2


def arguments(n=1):
    return (tg.ones(2), n)


CALLS = ({}, {"n": 2}, {"n": 4}, {"n": 3}, {"n": -1})

if __name__ == "__main__":
    for run in (f, tg.compile(f, backend="eager")):
        for call in CALLS:
            print(run(*arguments(**call)))
