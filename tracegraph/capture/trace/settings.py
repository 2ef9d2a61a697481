"""Settings under capture: while a trace is made the program's reads and writes go to the real ones, which are put back
when it ends. What the trace depends on is guarded; what it leaves changed is set again each time the trace runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Reference, Setting
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.settings import Settings

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


class TraceSettings:
    """The settings as one trace found them."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._found: dict[tuple[Settings, str], Any] = {}
        for settings in Settings.instances:
            for name in settings.implicit:
                self.get(settings, name)

    def get(self, settings: Settings, name: str) -> Any:
        """The setting as it now is in the traced program; the first time is a guard on what the trace found."""
        value = getattr(settings, name)
        if (settings, name) not in self._found:
            self._found[settings, name] = value
            self._tracer.guards.add(GuardKind.SETTING, Setting(Reference(settings), name), value)
        return value

    def set(self, settings: Settings, name: str, value: Any) -> None:
        """Change a setting, for the rest of the trace.

        Raises:
            Break: a graph has one value of it only.
        """
        if self.get(settings, name) is not value and name in settings.unmixed:
            raise Break(reasons.SIDE_EFFECT_CALL, f"{settings.questions[name]} changes")
        setattr(settings, name, value)
        for obeyed in settings.implicit:
            self.get(settings, obeyed)

    def changed(self) -> list[tuple[Settings, str, Any]]:
        """The settings that differ from what the trace found, and what they are now."""
        now = ((settings, name, getattr(settings, name)) for settings, name in self._found)
        return [(settings, name, value) for settings, name, value in now if value is not self._found[settings, name]]
