"""Exceptions: matching, context, order of finally, and the words of CPython's own."""

from __future__ import annotations

import sys

from programs import program


@program()
def exceptions_carry_values(x):
    def find(n):
        if n == 0:
            raise LookupError("found", n, x)
        return find(n - 1)

    try:
        find(3)
    except LookupError as e:
        return e.args[2] * 2, e.args[:2]
    return None


@program()
def exception_name_is_unbound(x):
    e = "before"
    try:
        raise ValueError(e)
    except ValueError as e:
        text = str(e)
    try:
        return e
    except UnboundLocalError:
        return x, text


@program()
def exception_context(x):
    def clean():
        raise KeyError("second")

    try:
        try:
            raise ValueError("first")
        except ValueError:
            clean()
    except KeyError as e:
        first = type(e.__context__).__name__, e.__cause__, e.__suppress_context__
    try:
        try:
            raise ValueError("first")
        except ValueError as v:
            raise KeyError("third") from v
    except KeyError as e:
        second = str(e.__cause__), e.__suppress_context__
    try:
        try:
            raise ValueError
        except ValueError:
            raise KeyError from None
    except KeyError as e:
        third = e.__cause__, e.__suppress_context__
    return x, first, second, third


@program()
def reraise_in_callee(x):
    def again():
        raise

    try:
        try:
            raise ValueError("original")
        except ValueError:
            again()
    except ValueError as e:
        return x * 2, str(e)
    return None


@program()
def finally_order(x):
    log = []

    def run(kind):
        for i in range(2):
            try:
                log.append(f"try {kind} {i}")
                if kind == "return":
                    return i
                if kind == "continue":
                    continue
                if kind == "break":
                    break
                if kind == "raise":
                    raise ValueError(kind)
            except ValueError:
                log.append("except")
            else:
                log.append("else")
            finally:
                log.append("finally")
        return kind

    return x, [run(k) for k in ("return", "continue", "break", "raise", "pass")], log


@program()
def exception_matching(x):
    out = []
    for error in (KeyError("k"), IndexError(1), ZeroDivisionError(), OSError(2, "no"), StopIteration(5)):
        try:
            raise error
        except (KeyError, IndexError) as e:
            out.append(("lookup", repr(e)))
        except ArithmeticError:
            out.append("arithmetic")
        except OSError as e:
            out.append((e.errno, e.strerror))
        except Exception as e:
            out.append((type(e).__name__, e.value))
    return x, out


@program()
def native_errors(x):
    out = []
    attempts = (
        lambda: [1][5],
        lambda: {"a": 1}["b"],
        lambda: 1 / 0,
        lambda: int("x"),
        lambda: "a" + 1,
        lambda: None.attribute,
        lambda: len(3),
        lambda: [1].index(2),
        lambda: (1).missing,
        lambda: {}.popitem(),
        lambda: next(iter([])),
        lambda: iter(3),
        lambda: {[]: 1},
        lambda: max([]),
        lambda: "abc".join([1]),
        lambda: [] < 3,
        lambda: -"a",
        lambda: 3 in 4,
        lambda: "%d" % "a",
        lambda: "{} {}".format(*[1]),
        lambda: [3].remove(4),
        lambda: set().pop(),
        lambda: isinstance(1, 1),
        lambda: undefined_name,  # noqa: F821 - raises NameError
    )
    for attempt in attempts:
        try:
            attempt()
        except Exception as e:
            out.append((type(e).__name__, str(e)))
    return x, out


@program()
def exception_notes(x):
    e = ValueError("a", 1)
    e.add_note("n")
    return x, e.args, str(e), repr(e), e.__notes__


@program()
def asks_what_is_handled(x):
    before = sys.exc_info()[0]
    try:
        raise LookupError
    except LookupError:
        inside = sys.exc_info()[0]
    return x * 2, before, inside, sys.exc_info()
