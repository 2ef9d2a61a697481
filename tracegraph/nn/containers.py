"""Modules that hold modules or parameters: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tracegraph.errors import ArgumentError, IndexRangeError
from tracegraph.nn.module import Module
from tracegraph.nn.parameter import Parameter
from tracegraph.tensor import Tensor


class _ModuleSequence(Module):
    """Submodules under the names 0, 1, 2, ... with the interface of a list."""

    def _position(self, index: Any) -> int:
        index, count = operator.index(index), len(self)
        if not -count <= index < count:
            raise IndexRangeError(f"{type(self).__name__}: index {index} is out of range for {count} modules")
        return index % count

    def _replace_all(self, modules: Iterable[Module]) -> None:
        listed = list(modules)
        self._modules.clear()
        for i, module in enumerate(listed):
            self.add_module(str(i), module)
        self._changed()

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        modules = list(self._modules.values())
        if isinstance(index, slice):
            return self._like(modules[index])
        return modules[self._position(index)]

    def _like(self, modules: list[Module]) -> Module:
        raise ArgumentError(f"{type(self).__name__} cannot be sliced")

    def __setitem__(self, index: int, module: Module) -> None:
        self.register_module(list(self._modules)[self._position(index)], module)

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self._modules.values())
        del modules[index if isinstance(index, slice) else self._position(index)]
        self._replace_all(modules)

    def pop(self, index: int) -> Module:
        """Take a module away and return it."""
        module: Module = self[index]
        del self[index]
        return module

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end; returns the container."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Insert a module before position `index`; returns the container."""
        modules = list(self._modules.values())
        modules.insert(index, module)
        self._replace_all(modules)
        return self


class Sequential(_ModuleSequence):
    """Applies modules one after another.

    Args:
        args: modules, or one OrderedDict of names and modules.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict | dict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self.extend(args)

    def _like(self, modules: list[Module]) -> Sequential:
        names = {id(m): n for n, m in self._modules.items()}
        return type(self)(OrderedDict((names[id(m)], m) for m in modules))

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input


class ModuleList(_ModuleSequence):
    """A list of modules, registered so that their parameters are found."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def _like(self, modules: list[Module]) -> ModuleList:
        return ModuleList(modules)

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])


class ModuleDict(Module):
    """A dict of modules, registered so that their parameters are found."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]
        self._changed()

    def keys(self) -> Iterable[str]:
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules."""
        for name, module in dict(modules).items():
            self.add_module(name, module)

    def pop(self, key: str) -> Module:
        """Take a module away and return it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all modules away."""
        self._modules.clear()
        self._changed()


def _as_parameter(value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if not isinstance(value, Tensor):
        raise ArgumentError(f"expected a Parameter or Tensor, got {type(value).__name__}")
    return Parameter(value)


class ParameterList(Module):
    """A list of parameters under the names 0, 1, 2, ...; tensors become parameters."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())

    def __getitem__(self, index: int | slice) -> Any:
        parameters = list(self._parameters.values())
        if isinstance(index, slice):
            return ParameterList(parameters[index])
        if not -len(parameters) <= index < len(parameters):
            raise IndexRangeError(f"ParameterList: index {index} is out of range for {len(parameters)} parameters")
        return parameters[index]

    def __setitem__(self, index: int, value: Any) -> None:
        self.register_parameter(list(self._parameters)[index], _as_parameter(value))

    def append(self, value: Any) -> ParameterList:
        """Add a parameter at the end; returns the list."""
        self.register_parameter(str(len(self)), _as_parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add parameters at the end; returns the list."""
        for value in list(values):
            self.append(value)
        return self

    def __repr__(self) -> str:
        return _parameters_repr(self)


class ParameterDict(Module):
    """A dict of parameters; tensors become parameters."""

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.update(parameters or {})

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: str) -> bool:
        return key in self._parameters

    def __getitem__(self, key: str) -> Parameter:
        return self._parameters[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.register_parameter(key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._parameters[key]
        self._changed()

    def keys(self) -> Iterable[str]:
        return self._parameters.keys()

    def values(self) -> Iterable[Parameter]:
        return self._parameters.values()

    def items(self) -> Iterable[tuple[str, Parameter]]:
        return self._parameters.items()

    def get(self, key: str, default: Any = None) -> Any:
        """A parameter, or `default`."""
        return self._parameters.get(key, default)

    def update(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add or replace parameters."""
        for name, value in dict(parameters).items():
            self[name] = value

    def pop(self, key: str) -> Parameter:
        """Take a parameter away and return it."""
        parameter = self[key]
        del self[key]
        return parameter

    def clear(self) -> None:
        """Take all parameters away."""
        self._parameters.clear()
        self._changed()

    def __repr__(self) -> str:
        return _parameters_repr(self)


def _parameters_repr(module: Module) -> str:
    lines = [
        f"\n    ({name}): Parameter containing: [{p.dtype!r} of size {'x'.join(map(str, p.shape))}]"
        for name, p in module._parameters.items()
    ]
    return f"{type(module).__name__}({''.join(lines)}\n)" if lines else f"{type(module).__name__}()"
