"""Saving and restoring the parameters and buffers of modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from tracegraph.autograd import no_grad
from tracegraph.errors import ArgumentError, StateDictError
from tracegraph.nn.parameter import Parameter
from tracegraph.nn.uninitialized import is_uninitialized
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.nn.module import Module


#: the key, behind a prefix, of what a module keeps besides tensors
EXTRA = "_extra_state"


class Incompatible(NamedTuple):
    """What a non-strict load could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"Incompatible(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def _own_entries(module: Module, prefix: str) -> Iterator[tuple[str, Module, str, str]]:
    """(dotted name, owner, registry, name) of what the module itself has to save."""
    for registry in ("_parameters", "_buffers"):
        for name, tensor in module.__dict__[registry].items():
            if tensor is not None and name not in module._non_persistent_buffers:
                yield prefix + name, module, registry, name


def _entries(module: Module, prefix: str = "") -> Iterator[tuple[str, Module, str, str]]:
    """The same of everything that belongs into a state dict."""
    yield from _own_entries(module, prefix)
    for name, child in module._modules.items():
        if child is not None:
            yield from _entries(child, f"{prefix}{name}.")


def collect_state(module: Module, destination: dict[str, Any], prefix: str, keep_vars: bool) -> dict[str, Any]:
    """Enter the module's state into `destination`, between its hooks."""
    for hook in module._state_hooks("_state_dict_pre_hooks"):
        hook(module, prefix, keep_vars)
    for key, owner, registry, name in _own_entries(module, prefix):
        tensor = owner.__dict__[registry][name]
        destination[key] = tensor if keep_vars else tensor.detach()
    if _overrides(module, "get_extra_state"):
        destination[prefix + EXTRA] = module.get_extra_state()
    for name, child in module._modules.items():
        if child is not None:
            collect_state(child, destination, f"{prefix}{name}.", keep_vars)
    for hook in module._state_hooks("_state_dict_post_hooks"):
        hook(module, destination, prefix, {})
    return destination


def load_state(module: Module, state: dict[str, Any], strict: bool, assign: bool) -> Incompatible:
    """Copy or assign the tensors of `state`; nothing changes if there is any problem (that no post hook may mend)."""
    if not hasattr(state, "items"):
        raise ArgumentError(f"load_state_dict() takes a dict of tensors, got {type(state).__name__}")
    state = dict(state)
    missing: list[str] = []
    unexpected: list[str] = []
    problems: list[str] = []
    for path, part in module.named_modules(remove_duplicate=False):
        for hook in part._state_hooks("_load_state_dict_pre_hooks"):
            hook(part, state, f"{path}." if path else "", {}, strict, missing, unexpected, problems)
    entries = {key: (owner, registry, name) for key, owner, registry, name in _entries(module)}
    extras = _extras(module)
    found = Incompatible(
        missing + [key for key in (*entries, *extras) if key not in state],
        unexpected + [key for key in state if key not in entries and key not in extras],
    )
    problems += _mismatches(entries, state)
    hooks = [(p, h) for _, p in module.named_modules() for h in p._state_hooks("_load_state_dict_post_hooks")]
    if problems or not hooks:  # hooks may forgive what is missing, and want to see the module loaded
        _refuse(module, problems, found, strict)
    for key, (owner, registry, name) in entries.items():
        if key in state:
            _load(owner, registry, name, state[key], assign)
    for key, part in extras.items():
        if key in state:
            part.set_extra_state(state[key])
    for part, hook in reversed(hooks):
        hook(part, found)
    _refuse(module, problems, found, strict)
    return found


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Take `prefix` off the keys that begin with it, in place: those of a wrapped module fit the module then."""
    for key in list(state_dict):
        if key.startswith(prefix):
            state_dict[key.removeprefix(prefix)] = state_dict.pop(key)


def _extras(module: Module) -> dict[str, Module]:
    """The parts of the module that have more to restore than tensors, by key."""
    parts = module.named_modules(remove_duplicate=False)
    return {f"{path}.{EXTRA}" if path else EXTRA: m for path, m in parts if _overrides(m, "set_extra_state")}


def _overrides(module: Module, method: str) -> bool:
    """Whether the class of `module` has a method of its own in the place of the one that refuses."""
    from tracegraph.nn.module import Module

    return getattr(type(module), method) is not getattr(Module, method)


def _refuse(module: Module, problems: list[str], found: Incompatible, strict: bool) -> None:
    """Raise if there is a problem.

    Raises:
        StateDictError: lists all of them.
    """
    listed = list(problems)
    if strict and found.unexpected_keys:
        listed.insert(0, f"Unexpected key(s) in state_dict: {_quoted(found.unexpected_keys)}.")
    if strict and found.missing_keys:
        listed.insert(0, f"Missing key(s) in state_dict: {_quoted(found.missing_keys)}.")
    if listed:
        text = "\n\t".join(listed)
        raise StateDictError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t{text}")


def _mismatches(entries: dict[str, tuple[Module, str, str]], state: dict[str, Any]) -> list[str]:
    problems = []
    for key, (owner, registry, name) in entries.items():
        if key not in state:
            continue
        value, current = state[key], owner.__dict__[registry][name]
        if not isinstance(value, Tensor):
            problems.append(f"{key} must be a Tensor, got {type(value).__name__}.")
        elif is_uninitialized(value) or is_uninitialized(current):
            if is_uninitialized(value) and not is_uninitialized(current):
                problems.append(f"{key} has no shape yet in the state_dict, the module has {list(current.shape)}.")
        elif value.shape != current.shape:
            problems.append(
                f"size mismatch for {key}: the state_dict has shape {list(value.shape)}, the module "
                f"{list(current.shape)}."
            )
    return problems


def _load(owner: Module, registry: str, name: str, value: Tensor, assign: bool) -> None:
    current = owner.__dict__[registry][name]
    if is_uninitialized(value):
        return
    if is_uninitialized(current):
        current.materialize(value.shape)
    if not assign:
        with no_grad():
            current.copy_(value)
        return
    if registry == "_parameters" and not isinstance(value, Parameter):
        value = Parameter(value, requires_grad=current.requires_grad)
    owner._register(registry, name, value)


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)
