"""Modules on several devices, of which there is one here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracegraph.errors import ArgumentError
from tracegraph.nn.module import Module
from tracegraph.ops.core.arguments import described

__all__ = ["DataParallel", "DistributedDataParallel"]


class DataParallel(Module):
    """What it wraps, under the name `module`: as in PyTorch where there is one device.

    Args:
        device_ids, output_device, dim: how batches are divided among devices; None, or the CPU.

    Raises:
        ArgumentError: other devices are named.
    """

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        for device in (*(device_ids or ()), *(() if output_device is None else (output_device,))):
            if str(device) not in ("cpu", "cpu:0"):
                raise ArgumentError(f"DataParallel: device {described(device)} does not exist; there is 'cpu'")
        self.module = module
        self.device_ids: list[int] = []
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """A name to ask for (`isinstance(model, DistributedDataParallel)`): there are no process groups.

    Raises:
        ArgumentError: one is made.
    """

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        raise ArgumentError("DistributedDataParallel: there is no distributed training; use the module as it is")
