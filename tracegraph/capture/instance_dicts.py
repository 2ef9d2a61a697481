"""`object.__dict__` of an outside object, as a mapping whose accesses are guarded and whose writes are logged."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from tracegraph.capture.attributes import instance_dict, instance_entry
from tracegraph.capture.guards import GuardKind
from tracegraph.capture.sources import MISSING, Slot
from tracegraph.capture.values import STAND_INS

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer


class InstanceDict(MutableMapping[str, Any]):
    """Passes for the real dictionary in traced code."""

    def __init__(self, tracer: Tracer, owner: Any) -> None:
        self._tracer = tracer
        self.owner = owner

    def __getitem__(self, name: str) -> Any:
        value = instance_entry(self._tracer, self.owner, name)
        if value is MISSING:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        self._tracer.effects.set_attribute(self.owner, name, value)

    def __delitem__(self, name: str) -> None:
        self[name]
        self._tracer.effects.set_attribute(self.owner, name, MISSING)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def copy(self) -> dict[str, Any]:
        """As `dict.copy`."""
        return dict(self)

    def _names(self) -> list[str]:
        storage = instance_dict(self.owner) or {}
        source = self._tracer.source_of(self.owner)
        assert source is not None
        self._tracer.guards.add(GuardKind.KEYS, Slot(source, "__dict__"), tuple(storage))
        effects = self._tracer.effects
        names = [n for n in storage if (w := effects.pending(self.owner, n)) is None or w.value is not MISSING]
        added = (n for n in effects.written_names(self.owner) if n not in storage)
        return names + [n for n in added if (w := effects.pending(self.owner, n)) and w.value is not MISSING]


STAND_INS[InstanceDict] = dict
