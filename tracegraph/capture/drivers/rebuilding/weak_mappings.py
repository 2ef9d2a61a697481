"""Weak dicts and sets that the trace made, and the entries it made in any."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.drivers.rebuilding.not_reconstructible import NotReconstructible
from tracegraph.capture.trace.weak_mappings import CLASSES, Entry

if TYPE_CHECKING:
    from tracegraph.capture.drivers.rebuilding.reconstructor import Reconstructor


def _build(reconstructor: Reconstructor, mapping: Any) -> str:
    """An empty mapping of the trace: entries come when it is known which keys there are."""
    if not reconstructor.tracer.weak_mappings.is_made(mapping) or vars(mapping):
        raise NotReconstructible(mapping)
    return reconstructor.assign(mapping, f"{reconstructor.pool.name(type(mapping))}()")


def write_entries(reconstructor: Reconstructor, lines: list[str]) -> None:
    """Emit the entries whose mapping and key exist when the trace has run; their values may hold further keys."""
    waiting = reconstructor.tracer.weak_mappings.entries()
    while ready := [e for e in waiting if _exists(reconstructor, e.mapping) and _exists(reconstructor, e.key)]:
        for entry in ready:
            lines.append(_line(reconstructor, entry))
        waiting = [e for e in waiting if not any(e is r for r in ready)]


def _exists(reconstructor: Reconstructor, value: Any) -> bool:
    return reconstructor.tracer.is_outside(value) or reconstructor.name_of(value) is not None


def _line(reconstructor: Reconstructor, entry: Entry) -> str:
    mapping, key = reconstructor.expression(entry.mapping), reconstructor.expression(entry.key)
    if hasattr(type(entry.mapping), "add"):
        return f"{mapping}.add({key})"
    return f"{mapping}[{key}] = {reconstructor.expression(entry.value)}"


BUILDERS: dict[type, Callable[[Reconstructor, Any], str]] = dict.fromkeys(CLASSES, _build)
