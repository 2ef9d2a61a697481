"""Settings under capture: while a trace is made the program's reads and writes go to the real ones, which are put back
when it ends. What the trace depends on is guarded; what it leaves changed is set again each time the trace runs.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        """The setting as it now is in the traced program; what the trace found at first is guarded.

        Raises:
            Break: a backward function asks for one that the trace has changed, and may change back.
        """
        value = getattr(settings, name)
        found = self._found.setdefault((settings, name), value)
        if value is not found and self._tracer.backward_reads.is_noticing:
            raise Break(reasons.CUSTOM_GRADIENT, f"{settings.questions[name]}, which the function changes")
        self._tracer.guards.add(GuardKind.SETTING, Setting(Reference(settings), name), found)
        return value

    def obeyed(self) -> list[int]:
        """To be given to `ask_obeyed_since`."""
        return [settings.obeyed for settings in Settings.instances]

    def ask_obeyed_since(self, before: Sequence[int]) -> None:
        """Ask for the settings that operations have obeyed since then."""
        for settings, count in zip(Settings.instances, before, strict=True):
            if settings.obeyed != count:
                for name in settings.implicit:
                    self.get(settings, name)

    def set(self, settings: Settings, name: str, value: Any) -> None:
        """Change a setting, for the rest of the trace."""
        self.get(settings, name)
        setattr(settings, name, value)
        for obeyed in settings.implicit:
            self.get(settings, obeyed)

    def changed(self) -> list[tuple[Settings, str, Any]]:
        """The settings that differ from what the trace found, and what they are now."""
        now = ((settings, name, getattr(settings, name)) for settings, name in self._found)
        return [(settings, name, value) for settings, name, value in now if value is not self._found[settings, name]]
