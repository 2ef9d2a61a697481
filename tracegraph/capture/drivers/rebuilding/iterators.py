"""Iterators that outlive a trace, made anew where they stand."""

from __future__ import annotations

import copy
import gc
import itertools
import operator
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.drivers.rebuilding.not_reconstructible import NotReconstructible
from tracegraph.capture.tensors.arrays import ArrayIterator
from tracegraph.capture.trace.adapters import IteratorAdapter

if TYPE_CHECKING:
    from tracegraph.capture.drivers.rebuilding.reconstructor import Reconstructor

#: iterators of itertools that never end
_ENDLESS = (itertools.count, itertools.cycle, itertools.repeat)
#: iterators over dicts, and the view each comes from
_DICT_ITERATORS: dict[type, str] = {
    type(iter({})): "keys", type(iter({}.values())): "values", type(iter({}.items())): "items",
}  # fmt: skip


def build_iterator(reconstructor: Reconstructor, value: Any) -> str:
    """A builtin iterator.

    Raises:
        NotReconstructible: it does not describe itself.
    """
    if type(value) in _DICT_ITERATORS:
        return _of_dict(reconstructor, value)
    if type(value) in _ENDLESS:
        kind, args = _endless(value)
        return reconstructor.assign(value, f"{reconstructor.pool.name(kind)}({reconstructor.expressions(args)})")
    if type(value).__module__ != "builtins":
        raise NotReconstructible(value)
    try:
        function, args, *state = value.__reduce__()
    except TypeError:
        raise NotReconstructible(value) from None
    code = f"{reconstructor.expression(function)}({reconstructor.expressions(args)})"
    name = reconstructor.assign(value, code)
    if state and state[0] is not None:
        # the position comes last: it must lie within contents that may be filled in late
        position = reconstructor.expression(state[0])
        reconstructor.later.append(lambda: reconstructor.lines.append(f"{name}.__setstate__({position})"))
    return name


def _endless(value: Any) -> tuple[Any, tuple[Any, ...]]:
    """Class and arguments of an endless iterator that goes on as this one does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        kind, args, *state = value.__reduce__()
        if kind is not itertools.cycle:
            return kind, args
        ((ahead,), ((passed, is_all),)) = args, state
        if type(ahead).__module__ != "builtins":
            raise NotReconstructible(value)
        rest = list(copy.copy(ahead))
    return kind, ([*rest, *(passed[: len(passed) - len(rest)] if is_all else passed)],)


def _of_dict(reconstructor: Reconstructor, value: Any) -> str:
    """An iterator that must notice when its dict changes size: made anew, and advanced as far."""
    owner = next((r for r in gc.get_referents(value) if isinstance(r, dict)), None)
    if owner is None:
        return reconstructor.assign(value, "iter(())")  # exhausted
    left = operator.length_hint(value)
    try:
        # at its end it may be advanced, as nobody is going to; but not if the dict has changed size
        if left == 0:
            next(value)
    except StopIteration:
        pass
    except RuntimeError:
        raise NotReconstructible(value) from None
    copies = (c for c in reconstructor.tracer.effects.copies if c.contents is owner)
    if any(list(owner) != list(c.before) for c in copies):
        raise NotReconstructible(value)  # made before the writes are replayed, it would notice them
    name = reconstructor.assign(value, f"iter({reconstructor.expression(owner)}.{_DICT_ITERATORS[type(value)]}())")
    code = f"for _ in range({len(owner) - left}): next({name})"
    reconstructor.last.append(lambda: reconstructor.lines.append(code))
    return name


def _of_array(reconstructor: Reconstructor, value: ArrayIterator) -> str:
    """An iterator over an array, advanced as far."""
    name = reconstructor.assign(value, f"iter({reconstructor.expression(value.array)})")
    if value.position:
        reconstructor.lines.append(f"{name}.__setstate__({value.position})")
    return name


def _adapted(reconstructor: Reconstructor, value: IteratorAdapter) -> str:
    return reconstructor.expression(value.iterator)


BUILDERS: dict[type, Callable[[Reconstructor, Any], str]] = {ArrayIterator: _of_array, IteratorAdapter: _adapted}
