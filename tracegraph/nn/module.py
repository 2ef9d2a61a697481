"""The base of all neural network modules.

A module keeps its parameters, buffers and submodules in registries (`_parameters`, `_buffers`, `_modules`), filled by
plain attribute assignment. Every change of an attribute also bumps `_changes`, a counter by which compiled code sees
that nothing it relied on has changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tracegraph import dtypes
from tracegraph.errors import ArgumentError, AutogradError, ValueRangeError
from tracegraph.nn.hooks import (
    HookRegistry,
    call_with_hooks,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
)
from tracegraph.nn.parameter import Buffer, Parameter
from tracegraph.nn.state import Incompatible, collect_state, load_state
from tracegraph.ops import functional as ops
from tracegraph.ops.core.device import check_device, names_device
from tracegraph.providers import provided
from tracegraph.tensor import Tensor

__all__ = [
    "Module",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
]

M = TypeVar("M", bound="Module")
T = TypeVar("T")

_REGISTRIES = ("_parameters", "_buffers", "_modules")


class Module(HookRegistry):
    """Base of modules: derive, assign parameters and submodules in `__init__`, compute in `forward`.

    Example:
        class Scale(Module):
            def __init__(self) -> None:
                super().__init__()
                self.factor = Parameter(tracegraph.ones(1))

            def forward(self, x):
                return self.factor * x
    """

    training: bool
    forward: Callable[..., Any]

    def __init__(self) -> None:
        state: dict[str, Any] = {
            "training": True,
            "_parameters": {},
            "_buffers": {},
            "_modules": {},
            "_non_persistent_buffers": set(),
            "_changes": 0,
        }
        self.__dict__.update(state)
        super().__init__()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute `forward(*args, **kwargs)`, with the registered hooks around it."""
        if self._is_wrapped:
            call = self.__dict__.get("_compiled_call", self._call_uncompiled)
            return call(*args, **kwargs)
        return self.forward(*args, **kwargs)

    def _call_uncompiled(self, *args: Any, **kwargs: Any) -> Any:
        if self._has_hooks:
            return call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile calls of this Module, in place: it stays the object it is, with its state and its class.

        Pickles and copies are not compiled. Takes the arguments of `tracegraph.compile`.
        """
        self.__dict__["_compiled_call"] = provided("compile")(self._call_uncompiled, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_compiled_call", None)
        return state

    # ------------------------------------------------------------------------------------ attributes

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if isinstance(value, Parameter):
            self._register("_parameters", name, value)
            return
        if isinstance(value, Module):
            self._register("_modules", name, value)
            return
        if isinstance(value, Buffer):
            self._register_buffer(name, value, value.persistent)
            return
        for registry in _REGISTRIES:
            if name in state.get(registry, ()):
                self._reassign(registry, name, value)
                break
        else:
            object.__setattr__(self, name, value)
        state["_changes"] = state.get("_changes", 0) + 1

    def _reassign(self, registry: str, name: str, value: Any) -> None:
        """Give a registered name a value that is no Parameter or Module: None, or for a buffer a tensor."""
        if value is not None and not (registry == "_buffers" and isinstance(value, Tensor)):
            expected = {"_parameters": "a Parameter", "_buffers": "a Tensor", "_modules": "a Module"}[registry]
            raise ArgumentError(
                f"cannot assign a {type(value).__name__} to {type(self).__name__}.{name}: it is registered, and takes "
                f"{expected} or None"
            )
        self.__dict__[registry][name] = value

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        for registry in _REGISTRIES:
            members = state.get(registry)
            if members is not None and name in members:
                return members[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        self._changed()
        for registry in _REGISTRIES:
            if name in self.__dict__[registry]:
                del self.__dict__[registry][name]
                self._non_persistent_buffers.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def _register(self, registry: str, name: str, value: Any) -> None:
        """Enter a value under a name, taking the name from wherever it was before."""
        state = self.__dict__
        if registry not in state:
            raise ArgumentError(f"call super().__init__() in {type(self).__name__}.__init__ before assigning {name!r}")
        if not isinstance(name, str) or not name or "." in name:
            raise ValueRangeError(f"the name {name!r} must be a non-empty string without dots")
        if hasattr(type(self), name):
            raise ValueRangeError(f"the class {type(self).__name__} has an attribute {name!r}, which would hide it")
        state.pop(name, None)
        for other in _REGISTRIES:
            if other != registry:
                state[other].pop(name, None)
        state[registry][name] = value
        self._changed()

    def _changed(self) -> None:
        """Let compiled code check this module anew."""
        self.__dict__["_changes"] += 1

    def _check_free(self, function: str, registry: str, name: str) -> None:
        """Refuse to register what would hide an attribute of another kind; assigning replaces it instead.

        Raises:
            ValueRangeError: there is one.
        """
        if isinstance(name, str) and hasattr(self, name) and name not in self.__dict__.get(registry, {}):
            raise ValueRangeError(
                f"{function}({name!r}): {type(self).__name__} has an attribute of this name already; choose another "
                "name, or delete the attribute first"
            )

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None to declare that there is none."""
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentError(f"register_parameter({name!r}): expected a Parameter, got {type(param).__name__}")
        self._check_free("register_parameter", "_parameters", name)
        self._register("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is no parameter but part of the state; `persistent` puts it into `state_dict`."""
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentError(f"register_buffer({name!r}): expected a Tensor, got {type(tensor).__name__}")
        self._check_free("register_buffer", "_buffers", name)
        self._register_buffer(name, tensor, persistent)

    def _register_buffer(self, name: str, tensor: Tensor | None, persistent: bool) -> None:
        self._register("_buffers", name, tensor)
        if persistent:
            self._non_persistent_buffers.discard(name)
        else:
            self._non_persistent_buffers.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a submodule."""
        if module is not None and not isinstance(module, Module):
            raise ArgumentError(f"register_module({name!r}): expected a Module, got {type(module).__name__}")
        self._check_free("register_module", "_modules", name)
        self._register("_modules", name, module)

    add_module = register_module

    # ------------------------------------------------------------------------------------ traversal

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, outer before inner, with dotted names."""
        seen = set() if memo is None else memo
        if remove_duplicate and id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(seen, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def _named_members(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        owners = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in owners:
            for name, member in module.__dict__[registry].items():
                if member is None or (remove_duplicate and id(member) in seen):
                    continue
                seen.add(id(member))
                yield f"{path}.{name}" if path else name, member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The submodule at a dotted path; the empty path is this module.

        Raises:
            AttributeError: there is none.
        """
        module: Module = self
        for name in target.split(".") if target else ():
            if name not in module._modules or module._modules[name] is None:
                raise AttributeError(f"{type(module).__name__} has no submodule {name!r} (looking for {target!r})")
            module = module._modules[name]
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at a dotted path, where there is a submodule; without `strict` also where there is none.

        Raises:
            ValueRangeError: the path is empty, or `module` is no Module.
            AttributeError: the path leads nowhere, or to something else.
        """
        if target == "":
            raise ValueRangeError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueRangeError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path.

        Raises:
            AttributeError: there is none.
        """
        return self._get_member("_parameters", "parameter", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path.

        Raises:
            AttributeError: there is none.
        """
        return self._get_member("_buffers", "buffer", target)

    def _get_member(self, registry: str, kind: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        found = owner.__dict__[registry].get(name)
        if found is None:
            raise AttributeError(f"{type(owner).__name__} has no {kind} {name!r}")
        return found

    # ------------------------------------------------------------------------------------ state

    def state_dict(
        self, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name; they share memory with the module's.

        Args:
            destination: the dict to enter them in; a new one by default.
            prefix: put before every name.
            keep_vars: give the parameters themselves rather than detached tensors.
        """
        return collect_state(self, {} if destination is None else destination, prefix, keep_vars)

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True, assign: bool = False) -> Incompatible:
        """Copy (or with `assign`, put) tensors into the parameters and buffers of the same names.

        Raises:
            StateDictError: a shape differs, or with `strict` a name is missing or unexpected; lists all problems.
        """
        return load_state(self, state_dict, strict, assign)

    def get_extra_state(self) -> Any:
        """What `state_dict` keeps of this module besides tensors, under `_extra_state`; override, with
        `set_extra_state`.
        """
        raise AutogradError(f"{type(self).__name__} has no extra state: define get_extra_state()")

    def set_extra_state(self, state: Any) -> None:
        """Restore what `get_extra_state` gave; called by `load_state_dict`."""
        raise AutogradError(f"{type(self).__name__} has no extra state: define set_extra_state(state)")

    # ------------------------------------------------------------------------------------ changes to all

    def train(self: M, mode: bool = True) -> M:
        """Set training mode here and below; dropout and batch normalisation act differently in it."""
        if not isinstance(mode, bool):
            raise ArgumentError(f"train(): mode must be a bool, got {type(mode).__name__}")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: M) -> M:
        """Set evaluation mode here and below."""
        return self.train(False)

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Call `fn` on every submodule, inner before outer, and on this module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Let gradients be computed for all parameters, or for none."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters."""
        for p in self.parameters():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad = p.grad.detach() * 0

    def to(self: M, *args: Any, dtype: Any = None, device: Any = None) -> M:
        """Convert the floating parameters and buffers, in place; `to("cpu")` does nothing.

        Raises:
            DTypeError: the dtype is not floating.
        """
        for arg in args:
            if isinstance(arg, Tensor):
                dtype = arg.dtype
            elif names_device(arg):
                device = arg
            else:
                dtype = arg
        check_device(device)
        if dtype is None:
            return self
        wanted = dtypes.as_dtype(dtype)
        if not wanted.is_floating:
            raise ArgumentError(f"Module.to(): the dtype must be floating, got {wanted}")
        return self._apply(lambda t: t.to(wanted) if t.dtype.is_floating else t)

    def type(self: M, dst_type: Any) -> M:
        """Convert all parameters and buffers, in place."""
        wanted = dtypes.as_dtype(dst_type)
        return self._apply(lambda t: t.to(wanted))

    def cuda(self: M, device: Any = None) -> M:
        """Always an error: there is no such device here.

        Raises:
            ArgumentError: always.
        """
        return self.to(device="cuda" if device is None else f"cuda:{device}")

    def to_empty(self: M, *, device: Any = None, recurse: bool = True) -> M:
        """Give every parameter and buffer memory of its own, its elements zero."""
        check_device(device)
        return self._apply(ops.empty_like, recurse)

    def share_memory(self: M) -> M:
        """The module: the workers of a `DataLoader` are threads, which share everything."""
        return self

    def _apply(self: M, convert: Callable[[Tensor], Tensor], recurse: bool = True) -> M:
        """Replace the elements of every parameter and buffer, here and below, by those of `convert(tensor)`."""
        for module in self.modules() if recurse else (self,):
            module._changed()
            for p in module._parameters.values():
                if p is not None:
                    p.data = convert(p.data)
                    if p.grad is not None:
                        p.grad = convert(p.grad)
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = convert(buffer)
        return self

    def float(self: M) -> M:
        return self.to(dtypes.float32)

    def double(self: M) -> M:
        return self.to(dtypes.float64)

    def half(self: M) -> M:
        return self.to(dtypes.float16)

    def bfloat16(self: M) -> M:
        return self.to(dtypes.bfloat16)

    def cpu(self: M) -> M:
        return self

    # ------------------------------------------------------------------------------------ text

    def extra_repr(self) -> str:
        """The module's options as its repr shows them; override."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        options = self.extra_repr()
        lines = options.split("\n") if options else []
        children = [f"({name}): {_indent(repr(module))}" for name, module in self._modules.items()]
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({options})"
        return f"{self._get_name()}(\n  " + "\n  ".join([*lines, *children]) + "\n)"


def _indent(text: str) -> str:
    """All lines but the first, indented."""
    return text.replace("\n", "\n  ")
