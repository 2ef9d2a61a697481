"""`except*`: splitting the exception that is handled, and putting together what the handlers left of it."""

from __future__ import annotations

from typing import Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.stack.values import Observed
from tracegraph.capture.trace.frame import ActiveException, Frame
from tracegraph.capture.trace.safety import flatten


def op_CHECK_EG_MATCH(frame: Frame, arg: object) -> None:
    """`except* kinds`: what is left of the exception, and the group of what matches (None if nothing does)."""
    kinds, exception = frame.pop(), frame.pop()
    _check_kinds(kinds)
    rest, match = _split(frame, exception, kinds)
    frame.stack += [rest, match]
    if match is not None:
        handled = frame.exceptions.pop()
        frame.exceptions.append(ActiveException(match, handled.step))


def _check_kinds(kinds: Any) -> None:
    parts = kinds if isinstance(kinds, tuple) else (kinds,)
    if not all(isinstance(part, type) and issubclass(part, BaseException) for part in parts):
        text = "catching classes that do not inherit from BaseException is not allowed"
        raise Observed(TypeError(text))
    if any(issubclass(part, BaseExceptionGroup) for part in parts):
        text = "catching ExceptionGroup with except* is not allowed. Use except instead."
        raise Observed(TypeError(text))


def _split(frame: Frame, exception: Any, kinds: Any) -> tuple[Any, Any]:
    """The parts of an exception that are not of these kinds, and those that are."""
    if exception is None:
        return None, None
    if isinstance(exception, kinds):
        if isinstance(exception, BaseExceptionGroup):
            return None, exception
        return None, frame.tracer.fresh(BaseExceptionGroup("", [exception]))
    if not isinstance(exception, BaseExceptionGroup):
        return exception, None
    _check_is_plain(exception)
    match, rest = exception.split(kinds)
    return _made(frame, rest), _made(frame, match)


def _made(frame: Frame, exception: BaseException | None) -> BaseException | None:
    is_known = exception is None or frame.tracer.step_of_creation(exception) is not None
    return exception if is_known else frame.tracer.fresh(exception)


def _check_is_plain(group: BaseExceptionGroup[Any]) -> None:
    """Splitting a group makes others of its class, by methods that a derived class may define.

    Raises:
        Break: it does.
    """
    for name in ("split", "derive", "__new__", "__init__"):
        if class_lookup(type(group), name) is not class_lookup(BaseExceptionGroup, name):
            raise Break(reasons.UNSUPPORTED_VALUE, f"`except*` of a group whose class defines {name}")
    for part in group.exceptions:
        if isinstance(part, BaseExceptionGroup):
            _check_is_plain(part)


def op_PREP_RERAISE_STAR(frame: Frame, arg: object) -> None:
    """What is raised behind the handlers: what they raised themselves, and as one group what they let through."""
    left, original = frame.pop(), frame.pop()
    found = [e for e in flatten(left) if e is not None]
    if not isinstance(original, BaseExceptionGroup):
        # it was wrapped for its handler, the only one that ran
        frame.push(found[0] if found else None)
        return
    passed = [e for e in found if _is_passed_on(e, original)]
    raised = [e for e in found if not any(e is p for p in passed)]
    if passed:
        leaves = {id(leaf) for group in passed for leaf in _leaves(group)}
        again, _ = original.split(lambda e: not isinstance(e, BaseExceptionGroup) and id(e) in leaves)
        raised.append(_made(frame, again))
    if len(raised) > 1:
        frame.push(frame.tracer.fresh(BaseExceptionGroup("", raised)))
    else:
        frame.push(raised[0] if raised else None)


def _is_passed_on(exception: BaseException, original: BaseException) -> bool:
    """Whether an exception is a part of the original that no handler raised: a group with its history."""
    if not isinstance(exception, BaseExceptionGroup):
        return False
    attributes = ("__traceback__", "__cause__", "__context__")
    return all(getattr(exception, name) is getattr(original, name) for name in attributes)


def _leaves(exception: BaseException) -> list[BaseException]:
    if not isinstance(exception, BaseExceptionGroup):
        return [exception]
    return [leaf for part in exception.exceptions for leaf in _leaves(part)]
