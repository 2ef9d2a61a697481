"""`nn.Module` under capture: registered parameters, buffers and submodules, hooks, and the change counter.

Everything else of a Module is ordinary Python and is inlined. These four shortcuts exist because the general way
would guard too much: reading one parameter would copy and guard the whole registry, every call would guard four
hook dictionaries, and the counter of changes would differ from call to call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Constant, Entry, Item, Reference
from tracegraph.capture.objects.lazy_modules import call_materialise
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING, values_of
from tracegraph.capture.stack.values import is_tensor
from tracegraph.capture.trace.instance_dicts import instance_dict
from tracegraph.nn.hooks import HOOKS_OF_ALL, HookRegistry, hooks_of
from tracegraph.nn.lazy import materialise
from tracegraph.nn.module import Module
from tracegraph.nn.parameter import Parameter

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

_REGISTRIES = ("_parameters", "_buffers", "_modules")


def get_registered(tracer: Tracer, module: Any, name: str, fallback: Any) -> Any:
    """A parameter, buffer or submodule; MISSING if the general protocol must look for it.

    Args:
        fallback: the class's `__getattr__`, which must be Module's for the shortcut to mean the same.
    """
    source = tracer.source_of(module)
    if fallback is not Module.__getattr__ or source is None:
        return MISSING
    for registry in _REGISTRIES:
        entries = _entries(tracer, module, registry)
        if name in entries:
            place = Item(Entry(source, registry), name)
            if tracer.is_outside(entries):
                # the trace works on a copy already
                tracer.backward_reads.note(place, entries[name])
                return entries[name]
            return tracer.read(entries[name], place)
        if not tracer.is_outside(entries):
            tracer.guards.add(GuardKind.GLOBAL_ABSENT, Entry(source, registry), name)
    return MISSING


def _entries(tracer: Tracer, module: Any, registry: str) -> dict[str, Any]:
    """A registry as the trace sees it: the tracked copy if there is one, else the real one, to be read only."""
    pending = tracer.effects.pending(module, registry)
    real: dict[str, Any] = pending.value if pending is not None else (instance_dict(module) or {}).get(registry, {})
    known = tracer.known(real)
    return real if known is MISSING else known


def set_registered(tracer: Tracer, module: Any, name: str, value: Any, setter: Any) -> bool:
    """`module.name = value` for an outside Module; False if the general protocol must do it.

    Raises:
        Break: the assignment registers or replaces a parameter or submodule.
    """
    source = tracer.source_of(module)
    if setter is not Module.__setattr__ or source is None:
        return False
    registry = next((r for r in _REGISTRIES if name in _entries(tracer, module, r)), None)
    if registry is not None and _entries(tracer, module, registry)[name] is _original(tracer, value):
        return True
    is_parameter = tracer.type_of(value) is Parameter or (value is None and registry == "_parameters")
    if is_parameter and registry in (None, "_parameters"):
        return False
    is_registration = isinstance(value, Module) or issubclass(tracer.type_of(value), Parameter)
    if is_registration or registry in ("_parameters", "_modules"):
        raise Break(reasons.SIDE_EFFECT_CALL, f"assignment of {type(module).__name__}.{name}, a registered name")
    if registry == "_buffers":
        if value is not None and not is_tensor(value):
            raise Break(reasons.SIDE_EFFECT_CALL, f"assignment to buffer {name!r} of {type(module).__name__}")
        tracer.read((instance_dict(module) or {})["_buffers"], Entry(source, "_buffers"))[name] = value
    else:
        for absent in _REGISTRIES:
            tracer.guards.add(GuardKind.GLOBAL_ABSENT, Entry(source, absent), name)
        from tracegraph.capture.objects.attribute_writes import generic_set

        generic_set(tracer, module, name, value)
    tracer.effects.note_change(module)
    return True


def _original(tracer: Tracer, value: Any) -> Any:
    """The eager tensor a graph input stands for, so that `self.buffer = self.buffer` is seen to change nothing."""
    graph_input = tracer.input_of(value) if is_tensor(value) else None
    return graph_input.tensor if graph_input is not None else value


# ------------------------------------------------------------------------------------------ functions


def _call_has_hooks(tracer: Tracer, module: Any) -> Any:
    """The properties `_has_hooks` and `_is_wrapped`: one guard where there are no hooks, else the number of them."""
    source = tracer.source_of(module)
    if source is None:
        return NotImplemented
    stores = [_entries(tracer, module, r) for r in HOOKS]
    if HOOKS_OF_ALL or any(map(tracer.is_outside, stores)):
        return NotImplemented
    tracer.guards.add(GuardKind.LENGTH, _OF_ALL, 0)
    if not any(stores):
        tracer.guards.add(GuardKind.NO_HOOKS, source, HOOKS)
        return False
    for registry, store in zip(HOOKS, stores, strict=True):
        tracer.guards.add(GuardKind.LENGTH, Entry(source, registry), len(store))
    return True


def _call_hooks_of(tracer: Tracer, module: Any, registry: str) -> Any:
    """`nn.hooks.hooks_of`, by position: the numbers that hooks are registered under are new for each of them."""
    source, store = tracer.source_of(module), _entries(tracer, module, registry)
    if source is None or HOOKS_OF_ALL or tracer.is_outside(store):
        return NotImplemented
    place = Entry(source, registry)
    tracer.guards.add(GuardKind.LENGTH, _OF_ALL, 0)
    tracer.guards.add(GuardKind.LENGTH, place, len(store))
    hooks = Computed(Reference(values_of), (place,))
    return [tracer.read(hook, Item(hooks, i)) for i, hook in enumerate(store.values())]


def _call_changed(tracer: Tracer, module: Any) -> Any:
    """`Module._changed`, replayed rather than guarded."""
    if not tracer.is_outside(module):
        return NotImplemented
    tracer.effects.note_change(module)
    return None


_OF_ALL = Constant(Reference(HOOKS_OF_ALL), "hooks of all modules")
HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")

#: methods of Module with a meaning of their own; each may answer NotImplemented to be inlined instead
METHODS: dict[Any, Callable[..., Any]] = {
    HookRegistry.__dict__["_has_hooks"].fget: _call_has_hooks,
    # a module compiled in place is captured as what it was
    HookRegistry.__dict__["_is_wrapped"].fget: _call_has_hooks,
    hooks_of: _call_hooks_of,
    Module.__dict__["_changed"]: _call_changed,
    materialise: call_materialise,
}
