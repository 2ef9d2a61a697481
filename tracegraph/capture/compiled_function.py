"""What `compile` returns: compiled functions, methods and Modules that pass for their originals."""

from __future__ import annotations

import copy
import functools
import sys
import types
from typing import Any, ClassVar

from tracegraph.capture.callees import CalleeCompiler
from tracegraph.capture.calls.directives import disabled_reason
from tracegraph.capture.specialisations import (
    FAMILIES,
    CaptureOptions,
    CompileGraph,
    EntryPoint,
    Family,
    Observer,
)
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.stance import STANCE
from tracegraph.errors import ArgumentError
from tracegraph.nn.module import Module

__all__ = ["CaptureOptions", "CompiledFunction", "CompiledModule", "compiled", "family_of", "forget_everything"]


class CompiledFunction:
    """A compiled function or callable object; usable as a method.

    A copy is one of a copy of the original; a pickle is by name, like a function's, or the original's.

    Attributes:
        family: the cache of specialisations and the record of graph breaks.
    """

    #: capture inlines the original instead
    __tracegraph_compiled__ = True

    def __init__(self, function: Any, family: Family) -> None:
        functools.update_wrapper(self, function)
        self._tracegraph_original = function
        self.family = family
        self._call_other = CalleeCompiler(family)
        self._entry: EntryPoint | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        function = self._tracegraph_original
        if STANCE.is_eager:
            return function(*args, **kwargs)
        if type(function) is not types.FunctionType:
            return self._call_other(function, *args, **kwargs)
        entry = self._entry
        if entry is None or entry.code is not function.__code__:
            entry = self._entry = self.family.entry_point(function)
        if entry.unit.is_native and not entry.unit.specialisations:
            # nothing to choose from: a recursive function does not get deeper than it is
            return function(*args, **kwargs)
        return entry.call(function, args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __copy__(self) -> CompiledFunction:
        return self._of(copy.copy(self._tracegraph_original))

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledFunction:
        return self._of(copy.deepcopy(self._tracegraph_original, memo))

    def _of(self, original: Any) -> CompiledFunction:
        """This for a copy of the original, with the same cache; itself where the original is copied by reference."""
        return self if original is self._tracegraph_original else CompiledFunction(original, self.family)

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        """By name where this is found by its name, as functions are; else as the original."""
        found: Any = sys.modules.get(getattr(self, "__module__", ""))
        name = getattr(self, "__qualname__", "")
        for part in name.split("."):
            found = getattr(found, "__dict__", {}).get(part)
        return name if found is self else (_same, (self._tracegraph_original,))

    def __repr__(self) -> str:
        return f"<compiled {self._tracegraph_original!r}>"


class CompiledModule(Module):
    """A compiled Module: shares all state with the original, and is an instance of the original's class.

    Parameters, buffers, hooks and `state_dict` are the original's own; a pickle or deep copy is the original's.
    """

    __tracegraph_compiled__ = True
    _tracegraph_original: ClassVar[Module]
    _tracegraph_family: ClassVar[Family]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        cls = type(self)
        return CalleeCompiler(cls._tracegraph_family)(cls._tracegraph_original, *args, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _same, (type(self)._tracegraph_original,)


def _same(original: Any) -> Any:
    return original


def _compile_module(module: Module, family: Family) -> CompiledModule:
    original = type(module)
    body = {
        "_tracegraph_original": module,
        "_tracegraph_family": family,
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
    }
    cls = type(original.__name__, (CompiledModule, original), body)
    wrapper: CompiledModule = object.__new__(cls)
    object.__setattr__(wrapper, "__dict__", module.__dict__)
    return wrapper


def family_of(target: Any) -> Family:
    """The cache behind anything that `compiled` returned.

    Raises:
        ArgumentError: `target` is not compiled.
    """
    if isinstance(target, types.MethodType):
        return family_of(target.__func__)
    if isinstance(target, CompiledModule):
        return type(target)._tracegraph_family
    if isinstance(target, CompiledFunction):
        return target.family
    if isinstance(target, Module) and "_compiled_call" in target.__dict__:
        return family_of(target.__dict__["_compiled_call"])
    raise ArgumentError(f"expected something that tracegraph.compile returned, got {type(target).__name__}")


def compiled(
    target: Any, compile_graph: CompileGraph, options: CaptureOptions, observer: Observer | None = None
) -> Any:
    """Wrap a function, method, Module or other callable so that its calls are captured and compiled.

    What is excluded by `directives.disable` comes back as it is; so does a class, whose `__call__` is replaced.
    """
    if isinstance(target, CompiledFunction | CompiledModule):
        original = target._tracegraph_original
        return compiled(original, compile_graph, options, observer)
    if disabled_reason(target) is not None:
        return target
    family = Family(options, compile_graph, observer or Observer())
    if isinstance(target, Module):
        return _compile_module(target, family)
    if isinstance(target, types.MethodType):
        return types.MethodType(CompiledFunction(target.__func__, family), target.__self__)
    if isinstance(target, type):
        call = class_lookup(target, "__call__")
        original = getattr(call, "_tracegraph_original", call)
        setattr(target, "__call__", CompiledFunction(original, family))  # noqa: B010 - mypy knows __call__ of type
        return target
    return CompiledFunction(target, family)


def forget_everything() -> None:
    """Forget all that was captured and compiled; the next call of each function begins anew."""
    for family in list(FAMILIES):
        family.clear()
