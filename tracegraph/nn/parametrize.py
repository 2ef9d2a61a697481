"""Tensors of modules as functions of others: what `module.weight` reads is computed from what is learned.

    register_parametrization(linear, "weight", Symmetric())

    linear.weight  -->  linear.parametrizations.weight()  -->  Symmetric()(linear.parametrizations.weight.original)

The module gets a class of its own, derived from the one it had, with a property in the place of the tensor
(`torch.nn.utils.parametrize`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from tracegraph.autograd import no_grad
from tracegraph.errors import ArgumentError, AutogradError, ValueRangeError
from tracegraph.nn.containers import ModuleDict, ModuleList
from tracegraph.nn.module import Module
from tracegraph.nn.parameter import Parameter
from tracegraph.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "type_before_parametrizations",
]


class _Cache:
    """Parametrized tensors by module and name, while `blocks` of `cached` are open."""

    def __init__(self) -> None:
        self.blocks = 0
        self.tensors: dict[tuple[int, str], Any] = {}


_CACHE = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once inside the block, however often it is read."""
    _CACHE.blocks += 1
    try:
        yield
    finally:
        _CACHE.blocks -= 1
        if not _CACHE.blocks:
            _CACHE.tensors = {}


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied in order to the original, or to the first's several originals.

    Attributes:
        original: the tensor learned; `original0`, `original1` and so on where `right_inverse` gives several.
        is_tensor: whether there is one.
        unsafe: whether parametrizations may change shape and dtype.
    """

    original: Tensor

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueRangeError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        new: Any = _right_inverse(modules, original)
        if not isinstance(new, Tensor | Sequence):
            raise ValueRangeError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                f"{type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        shape, dtype = original.shape, original.dtype
        if isinstance(new, Tensor):
            if new.dtype is not dtype:
                raise ValueRangeError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {dtype}\nright_inverse(original).dtype: {new.dtype}"
                )
            _set(original, new)
            _register(self, "original", original)
        for i, part in enumerate(() if self.is_tensor else new):
            if not isinstance(part, Tensor):
                raise ValueRangeError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got element "
                    f"{i} of the sequence with type {type(part).__name__}."
                )
            is_learned = isinstance(original, Parameter)
            _register(self, f"original{i}", Parameter(part, original.requires_grad) if is_learned else part)
        if not unsafe:
            _check_result("Registering a parametrization", self(), shape, dtype)

    @property
    def originals(self) -> list[Any]:
        """The tensors that the first parametrization takes."""
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Let the originals be such that the tensor is `value`, as far as the parametrizations can tell.

        Raises:
            AutogradError: one of them has no `right_inverse`.
            ValueRangeError: what it gives are no such originals.
        """
        for module in self:
            if not hasattr(module, "right_inverse"):
                raise AutogradError(f"parametrization {type(module).__name__} does not implement right_inverse.")
        new = _right_inverse(list(self), value)
        listed = [new] if self.is_tensor else new
        if not isinstance(listed, Sequence) or len(listed) != self.ntensors:
            raise ValueRangeError(f"'right_inverse' must return {self.ntensors} tensors, as when it was registered")
        for tensor, part in zip(self.originals, listed, strict=True):
            if not isinstance(part, Tensor) or part.dtype is not tensor.dtype:
                raise ValueRangeError(f"'right_inverse' must return tensors of dtype {tensor.dtype}, got {part!r}")
            _set(tensor, part)

    def forward(self) -> Tensor:
        """The tensor."""
        modules = iter(self)
        found: Tensor = next(modules)(*self.originals)
        for module in modules:
            found = module(found)
        return found


def register_parametrization(module: Any, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Any:
    """Let `module.tensor_name` be computed by `parametrization` from what it was; returns the module.

    A parametrization is a Module. If it has a method `right_inverse`, that gives the original, or a tuple of originals
    that its `forward` takes, from a value of the tensor; so the tensor keeps its value, and can be assigned to. Further
    parametrizations of one tensor are applied to the result of those before.

    Args:
        unsafe: let it change shape and dtype, and do not call it now.

    Raises:
        ValueRangeError: the module has no such tensor, or shape or dtype change.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        parametrizations = module.parametrizations[tensor_name]
        if not unsafe:
            with no_grad():
                before = getattr(module, tensor_name)
                after = parametrization(before)
                _check_result("Registering a parametrization", after, before.shape, before.dtype)
                if hasattr(parametrization, "right_inverse"):
                    back = parametrization.right_inverse(after)
                    _check_result("'right_inverse' of a further parametrization", back, before.shape, before.dtype)
        parametrizations.append(parametrization)
        parametrizations.unsafe |= unsafe
    elif tensor_name in module._parameters or tensor_name in module._buffers:
        parametrizations = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _give_class(module)
            module.parametrizations = ModuleDict()
        setattr(type(module), tensor_name, _property(tensor_name))
        module.parametrizations[tensor_name] = parametrizations
    else:
        raise ValueRangeError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has parametrizations, or whether this tensor of it has."""
    found = getattr(module, "parametrizations", None)
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Make `module.tensor_name` a parameter or buffer again; returns the module.

    Args:
        leave_parametrized: with its present value; else with that of the original.

    Raises:
        ValueRangeError: it has no parametrization, or several originals and `leave_parametrized` is False.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueRangeError(f"Module {module} does not have a parametrization on {tensor_name}")
    parametrizations = module.parametrizations[tensor_name]
    if not parametrizations.is_tensor and not leave_parametrized:
        raise ValueRangeError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    if parametrizations.is_tensor:
        tensor = parametrizations.original
        if leave_parametrized:
            with no_grad():
                value = getattr(module, tensor_name)
            _set(tensor, value)
    else:
        value = getattr(module, tensor_name)
        tensor = Parameter(value) if value.requires_grad else value
    _drop_property(module, tensor_name)
    del module.parametrizations[tensor_name]
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    _register(module, tensor_name, tensor)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class of the module without its parametrizations."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


# ------------------------------------------------------------------------------------------ the class


def _give_class(module: Module) -> None:
    """Let the module be of a class of its own, which properties can be added to."""
    base = type(module)
    body: dict[str, Any] = {"__deepcopy__": _deepcopy, "__getstate__": _refuse_pickle, "__module__": base.__module__}
    module.__class__ = type(f"Parametrized{base.__name__}", (base,), body)
    module._changed()


def _drop_property(module: Module, name: str) -> None:
    """Take the property away from this module; copies may share its class."""
    shared = type(module)
    body = {n: v for n, v in vars(shared).items() if n not in (name, "__dict__", "__weakref__")}
    module.__class__ = type(shared.__name__, shared.__bases__, body)
    module._changed()


def _deepcopy(self: Module, memo: dict[int, Any]) -> Module:
    if id(self) not in memo:
        memo[id(self)] = replica = type(self).__new__(type(self))
        state = {name: value for name, value in self.__dict__.items() if name != "_compiled_call"}
        replica.__dict__.update(copy.deepcopy(state, memo))
    copied: Module = memo[id(self)]
    return copied


def _refuse_pickle(self: Module) -> NoReturn:
    raise AutogradError(
        "Serialization of parametrized modules is only supported through state_dict(). See:\n"
        "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
    )


def _property(name: str) -> property:
    def get(self: Any) -> Any:
        if not _CACHE.blocks:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _CACHE.tensors:
            _CACHE.tensors[key] = self.parametrizations[name]()
        return _CACHE.tensors[key]

    def put(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


# ------------------------------------------------------------------------------------------ parts


def _right_inverse(modules: Sequence[Module], value: Any) -> Any:
    """The original, or the originals, from which `modules` would compute `value`; those that do not say count as
    identities.
    """
    with no_grad():
        for module in reversed(modules):
            if hasattr(module, "right_inverse"):
                try:
                    value = module.right_inverse(value)
                except NotImplementedError:
                    continue
    return value


def _set(tensor: Tensor, value: Tensor) -> None:
    """Let `tensor` hold the elements of `value`, in whatever shape."""
    if value is not tensor:
        tensor.data = value.detach()


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _check_result(what: str, result: Any, shape: Sequence[Any], dtype: Any) -> None:
    if not isinstance(result, Tensor):
        raise ArgumentError(f"A parametrization must return a tensor. Got {type(result).__name__}.")
    for name, before, now in (("dtype", dtype, result.dtype), ("shape", shape, result.shape)):
        if before != now:
            raise ValueRangeError(
                f"{what} may not change the {name} of the tensor, unless the `unsafe` flag is enabled: it was "
                f"{before}, the parametrized one is {now}"
            )
