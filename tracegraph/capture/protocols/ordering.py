"""Sorting as part of the trace: keys are computed symbolically, CPython's sort decides on the order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegraph.capture.trace.safety import comparable

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def sort_items(tracer: Tracer, items: list[Any], key: Any = None, reverse: Any = False) -> None:
    """`items.sort(key=key, reverse=reverse)`.

    Raises:
        Observed: the key function or a comparison raises.
        Break: a comparison cannot be traced.
    """
    from tracegraph.capture.calls.callables import call
    from tracegraph.capture.protocols.special_methods import truth

    tracer.effects.note_write()
    keys = list(items) if key is None else [call(tracer, key, (item,), {}) for item in items]
    order = tracer.native(_sorted_positions, comparable(tracer, keys), truth(tracer, reverse))
    items[:] = [items[i] for i in order]


def _sorted_positions(keys: list[Any], reverse: bool) -> list[int]:
    return sorted(range(len(keys)), key=keys.__getitem__, reverse=reverse)
