"""Hooks of modules: functions called before `forward`, after it, and when its gradients are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracegraph.errors import ArgumentError
from tracegraph.nn.backward_hooks import BackwardWatch
from tracegraph.tensor.hooks import RemovableHandle

if TYPE_CHECKING:
    from tracegraph.nn.module import Module

Hook = Callable[..., Any]


@dataclass(frozen=True)
class ForwardHook:
    """A hook around `forward`, and whether it takes the keyword arguments too."""

    function: Hook
    with_kwargs: bool


#: hooks of all modules, by id: the registry of a module's own that each stands before, and the hook
HOOKS_OF_ALL: dict[int, tuple[str, Any]] = {}


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, args)` before every `forward`, before the module's own hooks; it may replace `args`."""
    return RemovableHandle(HOOKS_OF_ALL, ("_forward_pre_hooks", ForwardHook(hook, with_kwargs=False)))


def register_module_forward_hook(hook: Hook, *, with_kwargs: bool = False) -> RemovableHandle:
    """Call `hook(module, args, output)` after every `forward`, before the module's own hooks; it may replace `output`.

    With `with_kwargs` it is called `hook(module, args, kwargs, output)`.
    """
    return RemovableHandle(HOOKS_OF_ALL, ("_forward_hooks", ForwardHook(hook, with_kwargs)))


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` in the backward pass of every call of a module."""
    return RemovableHandle(HOOKS_OF_ALL, ("_backward_hooks", hook))


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the backward pass of every call of a module."""
    return RemovableHandle(HOOKS_OF_ALL, ("_backward_pre_hooks", hook))


def hooks_of(module: Module, registry: str) -> list[Any]:
    """The hooks of all modules, then the module's own."""
    everywhere = [hook for kind, hook in HOOKS_OF_ALL.values() if kind == registry]
    return everywhere + list(module.__dict__[registry].values())


class HookRegistry:
    """The part of `Module` that keeps hooks."""

    def __init__(self) -> None:
        for name in ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks"):
            self.__dict__[name] = {}

    @property
    def _has_hooks(self) -> bool:
        s = self.__dict__
        own = s["_forward_pre_hooks"] or s["_forward_hooks"] or s["_backward_hooks"] or s["_backward_pre_hooks"]
        return bool(HOOKS_OF_ALL or own)

    @property
    def _is_wrapped(self) -> bool:
        """Whether a call is more than `forward`: there are hooks, or the module is compiled in place."""
        s = self.__dict__
        if HOOKS_OF_ALL or "_compiled_call" in s:
            return True
        return bool(s["_forward_pre_hooks"] or s["_forward_hooks"] or s["_backward_hooks"] or s["_backward_pre_hooks"])

    def _add_hook(self, registry: str, hook: Any, prepend: bool = False) -> RemovableHandle:
        hooks = self.__dict__[registry]
        handle = RemovableHandle(hooks, hook)
        if prepend:
            for key in [k for k in hooks if k != handle.id]:
                hooks[key] = hooks.pop(key)
        self.__dict__["_changes"] += 1
        return handle

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; a value it returns replaces the positional arguments.

        With `with_kwargs` it is `hook(module, args, kwargs)`, returning None or both.
        """
        return self._add_hook("_forward_pre_hooks", ForwardHook(hook, with_kwargs), prepend)

    def register_forward_hook(self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; a value it returns replaces the output.

        With `with_kwargs` it is `hook(module, args, kwargs, output)`.
        """
        return self._add_hook("_forward_hooks", ForwardHook(hook, with_kwargs), prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Not there: it saw the gradients of the last operation in `forward`, whichever that was.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError("register_backward_hook: use register_full_backward_hook, which PyTorch replaced it by")

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the positional arguments are known.

        Both are tuples; a tuple it returns replaces `grad_input`.
        """
        return self._add_hook("_backward_hooks", hook, prepend)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's backward pass; a tuple it returns replaces it."""
        return self._add_hook("_backward_pre_hooks", hook, prepend)

    # ------------------------------------------------------------------------------------ state dicts

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` takes this module's entries."""
        return self._add_state_hook("_state_dict_pre_hooks", hook)

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` when `state_dict` has the entries of this module and
        of all below it; the hook may change them in place.
        """
        return self._add_state_hook("_state_dict_post_hooks", hook)

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`
        before this module's entries are loaded; it may change the dict, a copy, and add to the lists.
        """
        return self._add_state_hook("_load_state_dict_pre_hooks", hook)

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` when everything is loaded, inner modules first, and before what is
        missing or unexpected raises; it may change the two lists in place.
        """
        return self._add_state_hook("_load_state_dict_post_hooks", hook)

    def _add_state_hook(self, registry: str, hook: Hook) -> RemovableHandle:
        return RemovableHandle(self.__dict__.setdefault(registry, {}), hook)

    def _state_hooks(self, registry: str) -> list[Hook]:
        return list(self.__dict__.get(registry, {}).values())


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`module.forward` between the module's hooks."""
    pre_hooks, hooks = hooks_of(module, "_backward_pre_hooks"), hooks_of(module, "_backward_hooks")
    for hook in hooks_of(module, "_forward_pre_hooks"):
        if hook.with_kwargs:
            replaced = hook.function(module, args, kwargs)
            if replaced is not None:
                args, kwargs = replaced
        else:
            replaced = hook.function(module, args)
            if replaced is not None:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
    watch = BackwardWatch(module, hooks, pre_hooks) if hooks or pre_hooks else None
    if watch is not None:
        args = watch.inputs(args)
    output = module.forward(*args, **kwargs)
    for hook in hooks_of(module, "_forward_hooks"):
        given = (args, kwargs, output) if hook.with_kwargs else (args, output)
        replaced = hook.function(module, *given)
        if replaced is not None:
            output = replaced
    return output if watch is None else watch.outputs(output)
