"""Modules as functions of their parameters, as in `torch.func`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracegraph.errors import ArgumentError
from tracegraph.nn.module import Module
from tracegraph.tensor import Tensor

Tensors = Mapping[str, Tensor]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Tensors | Sequence[Tensors],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call `module` with these tensors in the place of its parameters and buffers, which stay as they are.

    Args:
        parameter_and_buffer_dicts: tensors by the names of `state_dict`, in one dict or in several.
        args: the arguments, a tuple if there is more than one.
        tie_weights: a tensor given for one name of a shared parameter stands for its other names too.
        strict: every parameter and buffer must be given.

    Raises:
        ArgumentError: a name is unknown, given twice, or missing although `strict`.
    """
    given = _merged(parameter_and_buffer_dicts)
    own = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    _check_names(type(module).__name__, given, own, strict)
    if tie_weights:
        by_tensor = {id(own[name]): tensor for name, tensor in given.items()}
        given = {n: by_tensor[id(t)] for n, t in own.items() if n not in given and id(t) in by_tensor} | given
    positional = args if isinstance(args, tuple) else () if args is None else (args,)
    before = {}
    try:
        for name, tensor in given.items():
            before[name] = own[name]
            _put(module, name, tensor)
        return module(*positional, **(kwargs or {}))
    finally:
        for name, tensor in before.items():
            _put(module, name, tensor)


def _merged(dicts: Tensors | Sequence[Tensors]) -> dict[str, Tensor]:
    if isinstance(dicts, Mapping):
        return dict(dicts)
    merged: dict[str, Tensor] = {}
    for part in dicts:
        for name, tensor in part.items():
            if name in merged:
                raise ArgumentError(f"functional_call: {name!r} is in several of the dicts")
            merged[name] = tensor
    return merged


def _check_names(module: str, given: Tensors, own: Tensors, strict: bool) -> None:
    unknown = [name for name in given if name not in own]
    if unknown:
        raise ArgumentError(f"functional_call: {module} has no parameters or buffers {unknown}; it has {list(own)}")
    missing = [name for name in own if name not in given]
    if strict and missing:
        raise ArgumentError(f"functional_call: {module} has parameters or buffers {missing} that are not given")


def _put(module: Module, name: str, tensor: Tensor) -> None:
    path, _, own_name = name.rpartition(".")
    owner = module.get_submodule(path)
    registry = owner._parameters if own_name in owner._parameters else owner._buffers
    registry[own_name] = tensor
    owner._changed()
