"""A variable that a nested function uses, read before it has a value: the local's message, not the free variable's."""

import tracegraph as tg

LEAVES = []
LOG = []


def f(x, flag):
    if flag:
        y = x * 2
    try:
        LOG.append(y)
    except UnboundLocalError as error:
        LOG.append(str(error))

    def later():
        return y

    try:
        return later()
    except NameError as error:
        return str(error)


def arguments(flag=False):
    return (tg.ones(2), flag)


CALLS = ({}, {"flag": True}, {})

if __name__ == "__main__":
    for run in (f, tg.compile(f, backend="eager")):
        for call in CALLS:
            print(run(*arguments(**call)))
