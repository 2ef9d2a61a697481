"""`except*`, and what context managers do to exceptions on their way."""

from __future__ import annotations

import contextlib

from programs import program


def several():
    return ExceptionGroup("several", [ValueError("a"), ExceptionGroup("inner", [KeyError("k"), ValueError("b")])])


def leaves(error):
    if isinstance(error, BaseExceptionGroup):
        return [error.message, [leaves(e) for e in error.exceptions]]
    return repr(error)


@program()
def group_divided(x):
    seen = []
    try:
        raise several()
    except* ValueError as e:
        seen.append(leaves(e))
        x = x * 2
    except* (KeyError, TypeError) as e:
        seen.append(leaves(e))
    else:
        seen.append("none")
    finally:
        seen.append("finally")
    return x, seen


@program()
def no_group(x):
    seen = []
    try:
        raise ValueError("alone")
    except* ValueError as e:
        seen.append((leaves(e), type(e).__name__))
    try:
        seen.append("nothing raised")
    except* ValueError:
        seen.append("caught")
    try:
        try:
            raise KeyError("alone")
        except* ValueError:
            seen.append("caught")
    except KeyError as e:
        seen.append(repr(e))
    return x * 2, seen


@program()
def handlers_that_raise(x):
    seen = []

    def run(handle):
        try:
            try:
                raise several()
            except* ValueError as e:
                handle(e)
        except Exception as e:
            seen.append((leaves(e), e.__context__ is not None))

    def raise_other(e):
        raise TypeError("other")

    def raise_cause(e):
        raise TypeError("other") from e.exceptions[0]

    def raise_again(e):
        raise

    def raise_by_name(e):
        raise e

    def raise_noted(e):
        e.add_note("noted")
        raise

    for handle in (lambda e: None, raise_other, raise_cause, raise_again, raise_by_name, raise_noted):
        run(handle)
    return x * 2, seen


@program()
def what_except_star_refuses(x):
    seen = []
    for kinds in (ExceptionGroup, 3, (ValueError, int)):
        try:
            try:
                raise several()
            except* kinds:
                seen.append("caught")
        except TypeError as e:
            seen.append(str(e))
    return x * 2, seen


@contextlib.contextmanager
def noting(log, name):
    try:
        yield name
    except KeyError as e:
        log.append((name, "caught", str(e)))
    finally:
        log.append((name, "left"))


@contextlib.contextmanager
def replacing():
    try:
        yield
    except ValueError as e:
        raise RuntimeError("new") from e


@program()
def exceptions_through_context_managers(x):
    log = []
    with noting(log, "a"):
        raise KeyError("first")
    try:
        with noting(log, "b"), noting(log, "c"):
            raise ValueError("second")
    except ValueError as e:
        log.append(str(e))
    try:
        with replacing():
            raise ValueError("third")
    except RuntimeError as e:
        log.append((str(e), repr(e.__cause__)))
    try:
        with contextlib.ExitStack() as stack:
            for name in "de":
                stack.enter_context(noting(log, name))
            x = x * 2
            raise ValueError("fourth")
    except ValueError as e:
        log.append(str(e))
    return x, log


@program()
def history_of_an_exception(x):
    error = ValueError("a")
    error.__cause__ = KeyError("cause")
    try:
        raise error
    except ValueError as e:
        found = repr(e.__cause__), e.__suppress_context__, e.__context__
        e.__context__ = e.__cause__
        e.__cause__ = None
        e.__suppress_context__ = False
    return x * 2, found, repr(error.__context__), error.with_traceback(None) is error
