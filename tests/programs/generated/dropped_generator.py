"""A generator that is dropped inside a try statement: its finally block runs when it is collected."""

import tracegraph as tg

LEAVES = []
LOG = []


def parts(x):
    try:
        yield x
        yield x * 2
    finally:
        LOG.append("dropped")


def f(x):
    first = next(parts(x + 1))
    LOG.append("next")
    kept = parts(x)
    return first + next(kept) + next(kept)


def arguments():
    return (tg.ones(2),)


CALLS = ({}, {})

if __name__ == "__main__":
    for run in (f, tg.compile(f, backend="eager")):
        for call in CALLS:
            print(run(*arguments(**call)))
