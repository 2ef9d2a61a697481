"""Source of programs that fail: every statement that raises, in every kind of place, after some side effect.

`source(place, effect, failure)` is a module with a function `program(x, state, log)`.
"""

from __future__ import annotations

import textwrap

PRELUDE = """
import tracegraph as tg

COUNTER = 0


class Bad:
    def __repr__(self):
        raise ValueError("bad repr")


class Slotted:
    __slots__ = ("value",)


class Manager:
    def __init__(self, log):
        self.log = log

    def __enter__(self):
        self.log.append("enter")

    def __exit__(self, kind, value, traceback):
        self.log.append(("exit", kind.__name__ if kind else None, traceback is None))


def raising(x):
    y = x + 1
    raise LookupError(f"no {y.shape}")


def noisy(x):
    print("noisy")
    raise OSError("after a break")


def gathering(x, i):
    w = x * 2
    return w[i]
"""

#: statements that raise; `z` is used by what follows
FAILURES = {
    "operation": "z = y[state.index]",
    "operation of a callee": "z = gathering(y, state.index)",
    "operation over several lines": "z = (y +\n    gathering(\n        y, state.index))",
    "division by zero": "z = state.integers // state.zero",
    "shapes": "z = y @ y",
    "truth of a tensor": "z = bool(y)",
    "element of a tensor": "z = y.item()",
    "element that does not fit": "z = int(y.sum()) + None",
    "key": "z = {}['k']",
    "attribute": "z = state.missing",
    "end of an iterator": "z = next(iter([]))",
    "method in C code": "z = print(state.bad)",
    "text": "z = f'{state.bad!r}'",
    "assertion": "assert y.sum() < 0, 'positive'",
    "callee": "z = raising(y)",
    "callee that breaks": "z = noisy(y)",
    "raise": "raise ValueError('v')",
    "raise from": "raise ValueError('v') from KeyError('k')",
    "raise with a note": "e = ValueError('n'); e.add_note('hello'); raise e",
    "group": "raise ExceptionGroup('g', [ValueError(1), KeyError(2)])",
    "exit": "raise SystemExit(3)",
    "interrupt": "raise KeyboardInterrupt",
}

EFFECTS = {
    "append": "log.append(1)",
    "attribute": "state.value = 5",
    "tensor attribute": "state.result = y + 1",
    "item": "state.table['a'] = 1",
    "deletion": "del state.table['k']",
    "write to a tensor": "state.weight.add_(1)",
    "write to an argument": "x.mul_(2)",
    "global": "globals()['COUNTER'] = 1",
    "print": "print('effect')",
    "random numbers": "state.result = tg.rand(2)",
    "deque": "state.deque.rotate(1)",
    "set": "state.set.add(3)",
    "slot": "state.slot.value = 7",
}

PLACES = {
    "function": """
        def program(x, state, log):
            y = x * 2
            EFFECT
            FAILURE
            log.append("after")
    """,
    "loop": """
        def program(x, state, log):
            y = x * 2
            for k in range(3):
                EFFECT
                if k == 1:
                    FAILURE
                log.append("round")
    """,
    "with": """
        def program(x, state, log):
            y = x * 2
            with Manager(log), tg.no_grad():
                EFFECT
                FAILURE
            log.append("after")
    """,
    "finally": """
        def program(x, state, log):
            y = x * 2
            try:
                EFFECT
                FAILURE
            finally:
                log.append("finally")
            log.append("after")
    """,
    "other handler": """
        def program(x, state, log):
            y = x * 2
            try:
                EFFECT
                FAILURE
            except NotImplementedError:
                log.append("wrong")
            log.append("after")
    """,
    "handler that catches": """
        def program(x, state, log):
            y = x * 2
            try:
                EFFECT
                FAILURE
            except Exception as e:
                log.append(("caught", type(e).__name__))
            log.append("after")
            return y
    """,
    "handler that raises": """
        def program(x, state, log):
            y = x * 2
            try:
                EFFECT
                FAILURE
            except BaseException as e:
                log.append("caught")
                raise RuntimeError("other") from e
    """,
    "inside a handler": """
        def program(x, state, log):
            y = x * 2
            try:
                state.table["first"]
            except KeyError:
                EFFECT
                FAILURE
            log.append("after")
    """,
    "group handler": """
        def program(x, state, log):
            y = x * 2
            try:
                EFFECT
                FAILURE
            except* KeyError as group:
                log.append(str(group))
            log.append("after")
    """,
    "callee": """
        def called(x, state, log, y):
            EFFECT
            FAILURE
            return z

        def program(x, state, log):
            y = called(x, state, log, x * 2)
            log.append("after")
            return y
    """,
    "callee compiled on its own": """
        def called(x, state, log, y):
            print("breaks")
            EFFECT
            FAILURE
            return z

        def program(x, state, log):
            y = called(x, state, log, x * 2)
            log.append("after")
            return y
    """,
    "resumed function": """
        def program(x, state, log):
            y = x * 2
            print("breaks")
            EFFECT
            FAILURE
            log.append("after")
    """,
    "method": """
        class Owner:
            def method(self, x, state, log, y):
                EFFECT
                FAILURE
                return z

        def program(x, state, log):
            return Owner().method(x, state, log, x * 2)
    """,
    "generator": """
        def rows(x, state, log, y):
            yield y
            EFFECT
            FAILURE
            yield y

        def program(x, state, log):
            return [row + 1 for row in rows(x, state, log, x * 2)]
    """,
    "closure": """
        def program(x, state, log):
            y = x * 2

            def inner():
                EFFECT
                FAILURE
                return z

            return inner()
    """,
    "lambda in C code": """
        def program(x, state, log):
            def inner(y):
                EFFECT
                FAILURE

            return list(map(lambda v: inner(v), [x * 2]))
    """,
}


def source(place: str, effect: str, failure: str) -> str:
    """The text of a module whose `program` has `effect` and then `failure` in this place."""
    failing = FAILURES[failure] + ("\nstate.used = z" if FAILURES[failure].startswith("z =") else "")
    lines = textwrap.dedent(PLACES[place]).splitlines()
    for mark, code in (("EFFECT", EFFECTS[effect]), ("FAILURE", failing)):
        lines = [part for line in lines for part in _filled(line, mark, code)]
    return PRELUDE + "\n".join(lines) + "\n"


def _filled(line: str, mark: str, code: str) -> list[str]:
    if line.strip() != mark:
        return [line]
    return textwrap.indent(code, line[: line.index(mark)]).splitlines()
