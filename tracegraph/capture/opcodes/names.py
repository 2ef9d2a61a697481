"""Locals, cells, globals, attributes and imports."""

from __future__ import annotations

import builtins
import sys
import types
from typing import Any

from tracegraph.capture.bytecode.decode import NULL_AFTER_CALLABLE
from tracegraph.capture.calls.callables import call
from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Contents, GlobalName, Item, Reference, constant_source
from tracegraph.capture.objects import attribute_writes, attributes
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import NULL, Observed
from tracegraph.capture.trace.effects import Write
from tracegraph.capture.trace.frame import Frame, Unread
from tracegraph.capture.trace.growing_lists import growing

# ------------------------------------------------------------------------------------------ locals


def op_LOAD_FAST(frame: Frame, name: str) -> None:
    content = frame.slots.get(name)
    if type(content) is Unread and _appends(frame):
        found = growing(frame.tracer, content.value, content.source)
        if found is not None:
            frame.push(found)
            return
    frame.push(frame.local(name))


def _appends(frame: Frame) -> bool:
    """Whether the method `append` of what is loaded is looked up next."""
    following = frame.program.instructions[frame.position]
    return following.op in ("LOAD_METHOD", "LOAD_ATTR") and following.arg == "append"


def op_LOAD_CLOSURE(frame: Frame, name: str) -> None:
    frame.push(frame.local(name))


def op_LOAD_FAST_AND_CLEAR(frame: Frame, name: str) -> None:
    frame.push(frame.slots.pop(name, NULL))


def op_STORE_FAST(frame: Frame, name: str) -> None:
    value = frame.stack.pop()
    if value is NULL:
        frame.slots.pop(name, None)
    else:
        frame.slots[name] = value


def op_DELETE_FAST(frame: Frame, name: str) -> None:
    frame.local(name)
    del frame.slots[name]


# ------------------------------------------------------------------------------------------ cells


def op_MAKE_CELL(frame: Frame, name: str) -> None:
    cell = types.CellType()
    if name in frame.slots:
        cell.cell_contents = frame.slots[name]
    frame.slots[name] = frame.tracer.fresh(cell)


def op_COPY_FREE_VARS(frame: Frame, count: int) -> None:
    """The slots of free variables are filled when the frame is made."""


def op_LOAD_DEREF(frame: Frame, name: str) -> None:
    frame.push(cell_value(frame, name))


def cell_value(frame: Frame, name: str) -> Any:
    """What a variable that functions share holds.

    Raises:
        Observed: NameError, as it holds nothing.
    """
    cell = frame.slots[name]
    pending = frame.tracer.effects.cell(cell)
    if pending is not None:
        value = pending.value
    else:
        try:
            value = cell.cell_contents
        except ValueError:
            value = MISSING
    if value is MISSING:
        source = frame.tracer.source_of(cell)
        if pending is None and source is not None:
            frame.tracer.guards.add(GuardKind.CONSTANT, Computed(Reference(is_empty), (source,)), True)
        if name not in frame.code.co_freevars:
            text = f"cannot access local variable {name!r} where it is not associated with a value"
            raise Observed(UnboundLocalError(text))
        text = f"cannot access free variable {name!r} where it is not associated with a value in enclosing scope"
        raise Observed(NameError(text, name=name))
    if pending is None and frame.tracer.is_outside(cell):
        source = frame.tracer.source_of(cell)
        assert source is not None
        return frame.tracer.read(value, Contents(source))
    if type(value) is Unread:
        value = cell.cell_contents = frame.seen(value)
    return value


def is_empty(cell: types.CellType) -> bool:
    """Whether the variable has no value."""
    return cell == types.CellType()  # cells compare as what they hold


def op_STORE_DEREF(frame: Frame, name: str) -> None:
    _write_cell(frame, name, frame.pop())


def op_DELETE_DEREF(frame: Frame, name: str) -> None:
    cell_value(frame, name)
    _write_cell(frame, name, MISSING)


def _write_cell(frame: Frame, name: str, value: Any) -> None:
    cell = frame.slots[name]
    if frame.tracer.is_outside(cell):
        frame.tracer.effects.set_cell(cell, value)
    elif value is MISSING:
        del cell.cell_contents
    else:
        cell.cell_contents = value


# ------------------------------------------------------------------------------------------ globals


_BUILTINS = constant_source(builtins.__dict__)


def op_LOAD_GLOBAL(frame: Frame, arg: tuple[str, bool]) -> None:
    name, pushes_null = arg
    value = global_value(frame, name)
    if pushes_null and not NULL_AFTER_CALLABLE:
        frame.push(NULL)
    frame.push(value)
    if pushes_null and NULL_AFTER_CALLABLE:
        frame.push(NULL)


def global_value(frame: Frame, name: str) -> Any:
    """A global variable or builtin; that a name is not among the globals is guarded too.

    Raises:
        Observed: NameError.
    """
    tracer, namespace, scope = frame.tracer, frame.namespace, frame.scope
    pending: Write | None = tracer.effects.pending(namespace, name)
    if pending is not None and pending.value is not MISSING:
        return pending.value
    if pending is None and name in namespace:
        return tracer.read(namespace[name], GlobalName(scope, name))
    tracer.guards.add(GuardKind.GLOBAL_ABSENT, scope, name)
    found = _builtins_of(namespace)
    place = _BUILTINS if found is builtins.__dict__ else constant_source(found)
    if name in found:
        return tracer.read(found[name], GlobalName(place, name))
    tracer.guards.add(GuardKind.GLOBAL_ABSENT, place, name)
    raise Observed(NameError(f"name {name!r} is not defined", name=name))


def _builtins_of(namespace: dict[str, Any]) -> dict[str, Any]:
    """The builtins of code with these global variables: a program may give it others."""
    found = namespace.get("__builtins__", builtins)
    return found if type(found) is dict else builtins.__dict__


def op_STORE_GLOBAL(frame: Frame, name: str) -> None:
    frame.tracer.effects.set_global(frame.namespace, name, frame.pop())


def op_DELETE_GLOBAL(frame: Frame, name: str) -> None:
    global_value(frame, name)
    frame.tracer.effects.set_global(frame.namespace, name, MISSING)


# ------------------------------------------------------------------------------------------ attributes


def op_LOAD_ATTR(frame: Frame, name: str) -> None:
    frame.push(attributes.get(frame.tracer, frame.pop(), name))


def op_LOAD_METHOD(frame: Frame, name: str) -> None:
    """A bound method in the place of the callable: calls treat both layouts alike."""
    value = attributes.get(frame.tracer, frame.pop(), name)
    frame.stack.extend((value, NULL) if NULL_AFTER_CALLABLE else (NULL, value))


def op_LOAD_SUPER_ATTR(frame: Frame, arg: tuple[str, bool]) -> None:
    name, is_method = arg
    factory, cls, instance = frame.pop_many(3)
    if factory is super:
        parent = frame.tracer.native(super, cls, instance)
    else:
        # the name is bound to something else, and `super()` is called like that
        parent = call(frame.tracer, factory, (), {}, frame)
    value = attributes.get(frame.tracer, parent, name)
    if not is_method:
        frame.push(value)
    else:
        frame.stack.extend((value, NULL) if NULL_AFTER_CALLABLE else (NULL, value))


def op_STORE_ATTR(frame: Frame, name: str) -> None:
    target = frame.pop()
    attribute_writes.set_attribute(frame.tracer, target, name, frame.pop())


def op_DELETE_ATTR(frame: Frame, name: str) -> None:
    attribute_writes.delete_attribute(frame.tracer, frame.pop(), name)


# ------------------------------------------------------------------------------------------ imports


def op_IMPORT_NAME(frame: Frame, name: str) -> None:
    """Modules that are loaded already; loading one is left to the interpreter."""
    level, names = frame.pop_many(2)
    if level or name not in sys.modules or any(n not in sys.modules[name].__dict__ for n in names or ()):
        raise Break(reasons.SIDE_EFFECT_CALL, f"import of {name}")
    key = name if names else name.partition(".")[0]
    source = Item(constant_source(sys.modules), key)
    frame.push(frame.tracer.read(sys.modules[key], source))


def op_IMPORT_FROM(frame: Frame, name: str) -> None:
    try:
        frame.push(attributes.get(frame.tracer, frame.peek(), name))
    except Observed:
        raise Break(reasons.SIDE_EFFECT_CALL, f"import of name {name}") from None
