"""Guards on what a program defines, apart from the data that it computes with.

A call of a Module alone depends on a dozen facts that hardly ever change: its class has this `forward`, nothing in the
instance hides it, no hooks are registered, the names of its module mean what they meant. Reports count these.
"""

from __future__ import annotations

import types
from collections.abc import Iterator

from tracegraph.capture.guards import sources
from tracegraph.capture.guards.guard import Guard, GuardKind
from tracegraph.capture.guards.sources import Source
from tracegraph.capture.guards.user_terms import source_text
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import is_instance_of_python_class
from tracegraph.ir import Op

_ABSENCES = (GuardKind.ABSENT, GuardKind.GLOBAL_ABSENT, GuardKind.NO_HOOKS)
_IDENTITIES = (GuardKind.IDENTITY, GuardKind.FUNCTION, GuardKind.ALIAS)


def defined_by(guard: Guard) -> str | None:
    """The class, module or object whose definition the guard is about; None if it is about data."""
    source = guard.source
    if source is None:
        return None
    if guard.kind in _ABSENCES or (guard.kind is GuardKind.LENGTH and isinstance(source, sources.Constant)):
        return source_text(source)
    is_module = guard.kind is GuardKind.TYPE and guard.expected.object is types.ModuleType
    is_definition = is_module or (guard.kind in _IDENTITIES and _is_definition(guard))
    return _holder(source) if is_definition else None


def _is_definition(guard: Guard) -> bool:
    """Whether a guard says that a name of a class or module means the same function, class or module, or nothing."""
    if not any(isinstance(step, sources.ClassEntry | sources.Constant) for step in _steps(guard.source)):
        return False
    if guard.kind is not GuardKind.IDENTITY:
        return True
    value = guard.expected.reference()
    return value is MISSING or isinstance(value, Op) or not is_instance_of_python_class(value)


def _steps(source: Source | None) -> Iterator[Source]:
    while source is not None:
        yield source
        source = source.base


def _holder(source: Source) -> str:
    """The class that a path leads through last, else the name that it begins with."""
    steps = list(_steps(source))
    entry = next((step for step in steps if isinstance(step, sources.ClassEntry)), None)
    if entry is not None:
        return source_text(entry.parent)
    name = next((step for step in steps if isinstance(step, sources.GlobalName)), source)
    return source_text(name)
