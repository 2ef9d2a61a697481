"""Layers that learn from their first input how large they are.

Such a layer holds parameters without elements until its first call, which makes them, draws their values, and turns
the layer into the ordinary one (`torch.nn.LazyLinear` and its kin).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from tracegraph.errors import MissingRuleError, ValueRangeError
from tracegraph.nn.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from tracegraph.nn.linear import Linear
from tracegraph.nn.module import Module
from tracegraph.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from tracegraph.nn.uninitialized import UninitializedBuffer, UninitializedParameter, is_uninitialized


class LazyModuleMixin(Module):
    """What lazy layers share; derive from this and then from the layer.

    Class attributes:
        cls_to_become: the class of the layer once its sizes are known.
        unsized: names of the parameters and buffers whose shape depends on the first input.

    A derived class writes `initialize_parameters(*inputs)`, which gives each of them its shape.
    """

    cls_to_become: Any
    unsized: tuple[str, ...] = ("weight", "bias")

    def _defer(self) -> None:
        """Take the elements of what is unsized away, and wait for the first call."""
        for name in self.unsized:
            if self._parameters.get(name) is not None:
                self._parameters[name] = UninitializedParameter(dtype=self._parameters[name].dtype)
            elif self._buffers.get(name) is not None:
                self._buffers[name] = UninitializedBuffer(dtype=self._buffers[name].dtype)
        self._initialize_hook = self.register_forward_pre_hook(materialise, with_kwargs=True)

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer still has no shape."""
        return any(is_uninitialized(t) for t in (*self._parameters.values(), *self._buffers.values()))

    def _shape(self, name: str, *shape: int) -> None:
        """Give a parameter or buffer its shape, unless it is None or has one (from a state dict)."""
        tensor = getattr(self, name)
        if is_uninitialized(tensor):
            tensor.materialize(shape)

    @abstractmethod
    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give every unsized parameter and buffer its shape, from the inputs of the first call."""
        raise MissingRuleError(f"{type(self).__name__} must define initialize_parameters")

    def reset_parameters(self) -> None:
        """Nothing is drawn until the sizes are known."""


def materialise(module: LazyModuleMixin, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The hook before the first call."""
    is_new = module.has_uninitialized_params()
    module.initialize_parameters(*args, **kwargs)
    if is_new:
        module.cls_to_become.reset_parameters(module)
    module._initialize_hook.remove()
    del module._initialize_hook
    module.__class__ = module.cls_to_become
    module._changed()


def _check_rank(module: Module, input: Any, ranks: tuple[int, ...]) -> None:
    if input.ndim not in ranks:
        listed = " or ".join(f"{r}-d" for r in ranks)
        raise ValueRangeError(f"{type(module).__name__} expects a {listed} input, got shape {list(input.shape)}")


def _lazy(mixin: type, layer: Any, name: str, init: Any, argument: str) -> Any:
    """The class `name`, the lazy form of `layer`, made by `init` without `argument`."""
    doc = f"A `{layer.__name__}` whose `{argument}` is the number of channels of its first input; its other arguments."
    body = {"__init__": init, "__doc__": doc, "__module__": __name__, "cls_to_become": layer}
    return type(name, (mixin, layer), body)


# ------------------------------------------------------------------------------------------ linear


class LazyLinear(LazyModuleMixin, Linear):
    """A `Linear` whose `in_features` is the size of the last dimension of its first input."""

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(1, out_features, bias, device, dtype)
        self.in_features = 0
        self._defer()

    def initialize_parameters(self, input: Any) -> None:
        self.in_features = input.shape[-1]
        self._shape("weight", self.out_features, self.in_features)
        self._shape("bias", self.out_features)


# ------------------------------------------------------------------------------------------ convolutions


class _LazyConvolution(LazyModuleMixin):
    """A convolution whose `in_channels` is the number of channels of its first input."""

    def initialize_parameters(self, input: Any) -> None:
        layer: Any = self
        _check_rank(self, input, (layer.rank + 1, layer.rank + 2))
        layer.in_channels = channels = input.shape[-layer.rank - 1]
        if channels % layer.groups:
            raise ValueRangeError(f"{type(self).__name__}: groups={layer.groups} must divide the {channels} channels")
        ends = (channels, layer.out_channels) if layer.transposed else (layer.out_channels, channels)
        self._shape("weight", ends[0], ends[1] // layer.groups, *layer.kernel_size)
        self._shape("bias", layer.out_channels)


def _lazy_convolution(layer: Any, name: str) -> Any:
    """The lazy form of a convolution class: without its first argument, `in_channels`."""

    def __init__(self: Any, out_channels: int, kernel_size: Any, *args: Any, **kwargs: Any) -> None:
        groups = kwargs.get("groups", args[_GROUPS] if len(args) > _GROUPS else 1)
        layer.__init__(self, groups, out_channels, kernel_size, *args, **kwargs)
        self.in_channels = 0
        self._defer()

    return _lazy(_LazyConvolution, layer, name, __init__, "in_channels")


#: position of `groups` after `kernel_size`
_GROUPS = 3

LazyConv1d = _lazy_convolution(Conv1d, "LazyConv1d")
LazyConv2d = _lazy_convolution(Conv2d, "LazyConv2d")
LazyConv3d = _lazy_convolution(Conv3d, "LazyConv3d")
LazyConvTranspose1d = _lazy_convolution(ConvTranspose1d, "LazyConvTranspose1d")
LazyConvTranspose2d = _lazy_convolution(ConvTranspose2d, "LazyConvTranspose2d")
LazyConvTranspose3d = _lazy_convolution(ConvTranspose3d, "LazyConvTranspose3d")


# ------------------------------------------------------------------------------------------ normalisations


class _LazyNorm(LazyModuleMixin):
    """A normalisation whose `num_features` is the number of channels of its first input."""

    unsized = ("weight", "bias", "running_mean", "running_var")

    def initialize_parameters(self, input: Any) -> None:
        layer: Any = self
        _check_rank(self, input, layer.ranks)
        layer.num_features = input.shape[1]
        for name in self.unsized:
            self._shape(name, layer.num_features)


def _lazy_norm(layer: Any, name: str) -> Any:
    """The lazy form of a normalisation class: without its first argument, `num_features`."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        layer.__init__(self, 1, *args, **kwargs)
        self.num_features = 0
        self._defer()

    return _lazy(_LazyNorm, layer, name, __init__, "num_features")


LazyBatchNorm1d = _lazy_norm(BatchNorm1d, "LazyBatchNorm1d")
LazyBatchNorm2d = _lazy_norm(BatchNorm2d, "LazyBatchNorm2d")
LazyBatchNorm3d = _lazy_norm(BatchNorm3d, "LazyBatchNorm3d")
LazyInstanceNorm1d = _lazy_norm(InstanceNorm1d, "LazyInstanceNorm1d")
LazyInstanceNorm2d = _lazy_norm(InstanceNorm2d, "LazyInstanceNorm2d")
LazyInstanceNorm3d = _lazy_norm(InstanceNorm3d, "LazyInstanceNorm3d")
