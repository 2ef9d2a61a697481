"""Global variables as a dict that the program holds: `globals()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Constant, GlobalName, Reference
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import STAND_INS
from tracegraph.capture.trace.instance_dicts import InstanceDict

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


class Globals(InstanceDict):
    """`globals()`: single names are read and written like global variables; the whole is not listed."""

    def __getitem__(self, name: str) -> Any:
        pending = self._tracer.effects.pending(self.owner, name)
        if pending is not None and pending.value is not MISSING:
            return pending.value
        scope = Constant(Reference(self.owner), f"globals of {self.owner.get('__name__', '?')}")
        if pending is None and name in self.owner:
            return self._tracer.read(self.owner[name], GlobalName(scope, name))
        if pending is None:
            self._tracer.guards.add(GuardKind.GLOBAL_ABSENT, scope, name)
        raise KeyError(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._tracer.effects.set_global(self.owner, name, value)

    def __delitem__(self, name: str) -> None:
        self[name]
        self._tracer.effects.set_global(self.owner, name, MISSING)

    def _names(self) -> NoReturn:
        raise Break(reasons.FRAME_ACCESS, "all names of globals()")


STAND_INS[Globals] = dict


def is_namespace(value: Any) -> bool:
    """Whether a dict holds the global variables of some code."""
    return type(value) is dict and "__builtins__" in value


def namespace(tracer: Tracer, variables: dict[str, Any]) -> Globals:
    """What stands for a dict of global variables in the trace."""
    found = tracer.namespaces.get(id(variables))
    if found is None:
        found = tracer.namespaces[id(variables)] = Globals(tracer, variables)
    return found
