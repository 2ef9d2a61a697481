"""Convolution layers."""

from __future__ import annotations

from typing import Any

from tracegraph.errors import ValueRangeError
from tracegraph.module_names import names_elsewhere
from tracegraph.nn import functional as F
from tracegraph.nn import init
from tracegraph.nn.arguments import check_choice, check_sizes, check_windows
from tracegraph.nn.module import Module
from tracegraph.nn.parameter import Parameter
from tracegraph.ops import functional as ops

__getattr__ = names_elsewhere(__name__)

_PAD_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    """`3` means (3, 3); a list or tuple is taken as it is."""
    return tuple(value) if isinstance(value, tuple | list) else (value,) * rank


class _ConvNd(Module):
    """What convolutions of any rank share; `rank` is the number of spatial dimensions."""

    rank: int
    transposed = False

    def __init__(  # noqa: PLR0913, PLR0917 - PyTorch's arguments
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_sizes(self, in_channels=in_channels, out_channels=out_channels)
        check_sizes(self, at_least=1, groups=groups)
        check_windows(self, rank=self.rank, kernel_size=kernel_size, stride=stride, dilation=dilation)
        if isinstance(padding, str):
            check_choice(self, ("same", "valid"), padding=padding)
            if padding == "same" and any(step != 1 for step in _tuple(stride, self.rank)):
                raise ValueRangeError(f"{type(self).__name__}: padding='same' needs stride=1, got stride={stride}")
        else:
            check_windows(self, at_least=0, rank=self.rank, padding=padding)
        check_choice(self, tuple(_PAD_MODES), padding_mode=padding_mode)
        if in_channels % groups or out_channels % groups:
            raise ValueRangeError(
                f"{type(self).__name__}: groups={groups} must divide in_channels={in_channels} and "
                f"out_channels={out_channels}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _tuple(kernel_size, self.rank)
        self.stride = _tuple(stride, self.rank)
        self.padding: Any = padding if isinstance(padding, str) else _tuple(padding, self.rank)
        self.dilation = _tuple(dilation, self.rank)
        self.output_padding = (0,) * self.rank
        self.groups = groups
        self.padding_mode = padding_mode
        ends = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(ops.empty((ends[0], ends[1] // groups, *self.kernel_size), device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(ops.empty((out_channels,), device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.linear_default_(self.weight, self.bias)

    def border(self) -> list[int]:
        """Padding as `pad` takes it: last dimension first, both sides of each."""
        if self.padding == "valid":
            return [0, 0] * self.rank
        sides: list[int] = []
        for i in reversed(range(self.rank)):
            if self.padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                sides += [total // 2, total - total // 2]
            else:
                sides += [self.padding[i], self.padding[i]]
        return sides

    def padded(self, input: Any) -> tuple[Any, Any]:
        """The input, and the padding left to the convolution; other modes than zeros pad beforehand."""
        if self.padding_mode == "zeros":
            return input, self.padding
        return F.pad(input, self.border(), mode=_PAD_MODES[self.padding_mode]), 0

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        zeros, ones = (0,) * self.rank, (1,) * self.rank
        for name, value, default in (
            ("padding", self.padding, zeros),
            ("output_padding", self.output_padding, zeros),
            ("dilation", self.dilation, ones),
            ("groups", self.groups, 1),
            ("bias", self.bias is not None, True),
            ("padding_mode", self.padding_mode, "zeros"),
        ):
            if value != default:
                text += f", {name}={value}"
        return text


class Conv1d(_ConvNd):
    """Convolution of signals [N, in_channels, L] or [in_channels, L]."""

    rank = 1

    def forward(self, input: Any) -> Any:
        input, padding = self.padded(input)
        return F.conv1d(input, self.weight, self.bias, self.stride[0], padding, self.dilation[0], self.groups)


class Conv2d(_ConvNd):
    """Convolution of images [N, in_channels, H, W] or [in_channels, H, W]."""

    rank = 2

    def forward(self, input: Any) -> Any:
        input, padding = self.padded(input)
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _ConvTransposeNd(_ConvNd):
    """The arguments of transposed convolutions, in PyTorch's order, which is not that of convolutions."""

    transposed = True

    def __init__(  # noqa: PLR0913, PLR0917 - PyTorch's arguments
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, "zeros", device, dtype
        )
        check_windows(self, at_least=0, rank=self.rank, output_padding=output_padding)
        self.output_padding = _tuple(output_padding, self.rank)


class ConvTranspose1d(_ConvTransposeNd):
    """Transposed convolution of signals [N, in_channels, L] or [in_channels, L]."""

    rank = 1

    def forward(self, input: Any) -> Any:
        return F.conv_transpose1d(
            input, self.weight, self.bias, self.stride[0], self.padding[0], self.output_padding[0], self.groups,
            self.dilation[0],
        )  # fmt: skip


class ConvTranspose2d(_ConvTransposeNd):
    """Transposed convolution of images [N, in_channels, H, W] or [in_channels, H, W]."""

    rank = 2

    def forward(self, input: Any) -> Any:
        return F.conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )


class Conv3d(_ConvNd):
    """Convolution of volumes [N, in_channels, D, H, W] or [in_channels, D, H, W]."""

    rank = 3

    def forward(self, input: Any) -> Any:
        input, padding = self.padded(input)
        return F.conv3d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class ConvTranspose3d(_ConvTransposeNd):
    """Transposed convolution of volumes [N, in_channels, D, H, W] or [in_channels, D, H, W]."""

    rank = 3

    def forward(self, input: Any) -> Any:
        return F.conv_transpose3d(
            input, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )
