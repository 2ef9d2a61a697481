"""An iterator over a dict that the same part of the function has written to before, carried over a break."""

import tracegraph as tg

LEAVES = []


def f(x, table):
    table["a"] += table.pop("b")
    for key, value in table.items():
        print(key)
        x = x * value
    return x


def arguments(a=1):
    return (tg.ones(2), {"a": a, "b": 2, "c": 3})


CALLS = ({}, {}, {"a": 5})

if __name__ == "__main__":
    for run in (f, tg.compile(f, backend="eager")):
        for call in CALLS:
            print(run(*arguments(**call)))
