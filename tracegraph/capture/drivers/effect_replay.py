"""Side effects as driver source: the writes of a trace, replayed on the real objects."""

from __future__ import annotations

import collections
import threading
import types
from typing import Any

from tracegraph.capture.drivers.rebuilding.reconstructor import Reconstructor
from tracegraph.capture.drivers.rebuilding.weak_mappings import write_entries
from tracegraph.capture.stack.storage import MISSING, base_of_container
from tracegraph.capture.stack.values import is_instance_of_python_class
from tracegraph.capture.trace.effects import AttributeWrite, CellWrite, TrackedCopy, Write
from tracegraph.capture.trace.instance_dicts import instance_dict
from tracegraph.capture.trace.tracer import Tracer


def write_effects(tracer: Tracer, values: Reconstructor, lines: list[str]) -> None:
    """Emit every side effect; values are rebuilt first, so that all reads come before all writes."""
    for copy in tracer.effects.changed_copies():
        lines += _write_container(values, copy)
    for grown in tracer.effects.growing.values():
        if grown.items:
            lines.append(f"{values.writer.name(grown.source)}.extend([{values.expressions(grown.items)}])")
    lines += [_write_place(values, w) for w in tracer.effects.writes if w.value is not MISSING or _existed(w)]
    lines += [
        f"{values.expression(r.target)}.{r.method}({values.expression(r.hook)})"
        for r in tracer.effects.hook_registrations
    ]
    lines += [f"{values.expression(module)}._changed()" for module in tracer.effects.changed_modules]
    values.finish()
    write_entries(values, lines)


def _existed(write: Write) -> bool:
    """Whether what a write deletes was there before the trace."""
    if isinstance(write, AttributeWrite):
        if isinstance(write.target, type):
            return write.name in write.target.__dict__
        return write.name in (instance_dict(write.target) or {}) or isinstance(
            getattr(type(write.target), write.name, None), types.MemberDescriptorType
        )
    return isinstance(write, CellWrite) or write.name in write.namespace


def _write_container(values: Reconstructor, tracked: TrackedCopy) -> list[str]:
    target = values.writer.name(tracked.source)
    copy, before = tracked.contents, tracked.before
    if is_instance_of_python_class(tracked.copy):
        return _write_derived(values, target, tracked)
    if isinstance(copy, dict):
        return _write_dict(values, target, copy, before)
    if isinstance(copy, set):
        return [f"{target}.clear(); {target}.update([{values.expressions(copy)}])"]
    items = list(copy)
    is_extended = len(items) > len(before) and all(a is b for a, b in zip(items, before, strict=False))
    if is_extended:
        return [f"{target}.extend([{values.expressions(items[len(before) :])}])"]
    if isinstance(copy, collections.deque):
        return [f"{target}.clear(); {target}.extend([{values.expressions(items)}])"]
    return [f"{target}[:] = [{values.expressions(items)}]"]


def _write_derived(values: Reconstructor, target: str, tracked: TrackedCopy) -> list[str]:
    """The contents of an instance of a class derived from a container, past what that class overrides."""
    base = base_of_container(tracked.copy)
    name = values.pool.name(base)
    if base is list:
        return [f"{name}.__setitem__({target}, slice(None), [{values.expressions(tracked.contents)}])"]
    if not issubclass(base, dict):
        adder = "update" if base is set else "extend"
        return [f"{name}.clear({target})", f"{name}.{adder}({target}, [{values.expressions(tracked.contents)}])"]
    contents, before = tracked.contents, tracked.before
    kept = [k for k in before if k in contents]
    if list(contents)[: len(kept)] != kept:
        before, kept = {}, []
        lines = [f"{name}.clear({target})"]
    else:
        lines = [f"{name}.__delitem__({target}, {values.expression(k)})" for k in before if k not in contents]
    changed = [(k, v) for k, v in contents.items() if k not in before or before[k] is not v]
    return lines + [f"{name}.__setitem__({target}, {values.expression(k)}, {values.expression(v)})" for k, v in changed]


def _write_dict(values: Reconstructor, target: str, copy: dict[Any, Any], before: dict[Any, Any]) -> list[str]:
    """Single items where their order allows it, else the whole content."""
    kept = [k for k in before if k in copy]
    if list(copy)[: len(kept)] != kept:
        pairs = ", ".join(f"{values.expression(k)}: {values.expression(v)}" for k, v in copy.items())
        return [f"{target}.clear(); {target}.update({{{pairs}}})"]
    removed = [f"del {target}[{values.expression(k)}]" for k in before if k not in copy]
    changed = [(k, v) for k, v in copy.items() if k not in before or before[k] is not v]
    return removed + [f"{target}[{values.expression(k)}] = {values.expression(v)}" for k, v in changed]


def _write_place(values: Reconstructor, write: Write) -> str:
    if isinstance(write, AttributeWrite):
        target, kind = values.expression(write.target), type(write.target)
        owner = "type" if issubclass(kind, type) else "object"
        if issubclass(kind, threading.local):
            owner = values.pool.name(threading.local)  # stores for this thread
        if write.value is MISSING:
            return f"{owner}.__delattr__({target}, {write.name!r})"
        return f"{owner}.__setattr__({target}, {write.name!r}, {values.expression(write.value)})"
    place = (
        f"{values.expression(write.cell)}.cell_contents"
        if isinstance(write, CellWrite)
        else (f"{values.pool.name(write.namespace)}[{write.name!r}]")
    )
    return f"del {place}" if write.value is MISSING else f"{place} = {values.expression(write.value)}"
