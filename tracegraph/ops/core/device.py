"""Devices. There is one, the CPU; its objects exist so that code written for several runs unchanged."""

from __future__ import annotations

from tracegraph.errors import ArgumentError, ValueRangeError


class Device:
    """Where tensors live: `device("cpu")`. Equal devices are one object, which prints as the text that made it.

    Args:
        type: "cpu", or "cpu:0" with its index.
        index: the index, if `type` does not give it.

    Raises:
        ArgumentError: any other device.
        ValueRangeError: an index given twice, or other than 0.
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    _known: dict[int | None, Device] = {}

    def __new__(cls, type: str | Device, index: int | None = None) -> Device:
        if isinstance(type, Device):
            return type
        name, colon, number = str(type).partition(":")
        if name != "cpu" or not isinstance(type, str):
            raise ArgumentError(f"device {type!r} does not exist; tracegraph runs on 'cpu'")
        if colon and index is None and number.isdecimal():
            index = int(number)
        elif colon:
            raise ValueRangeError(f"device: {type!r} with index {index!r} names no device; use 'cpu' or 'cpu:0'")
        if index not in (None, 0):
            raise ValueRangeError(f"device: there is one CPU, index 0; got index {index!r}")
        found = cls._known.get(index)
        if found is None:
            found = cls._known.setdefault(index, super().__new__(cls))
            object.__setattr__(found, "type", "cpu")
            object.__setattr__(found, "index", index)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a device cannot be changed (attribute {name!r})")

    def __repr__(self) -> str:
        return (
            f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Device, (str(self),)

    def __copy__(self) -> Device:
        return self

    def __deepcopy__(self, memo: object) -> Device:
        return self


# capture calls it as it is, like an operation
Device.__new__.__tracegraph_op__ = True  # type: ignore[attr-defined]

CPU = Device("cpu")
#: first parts of texts that name a device rather than a dtype; all but the first do not exist here, and say so
DEVICE_TYPES = frozenset(("cpu", "cuda", "mps", "xpu", "meta"))


def names_device(value: object) -> bool:
    """Whether `value` stands for a device, one that exists or not."""
    return isinstance(value, Device) or (isinstance(value, str) and value.partition(":")[0] in DEVICE_TYPES)


def check_device(device: object) -> None:
    """Accept what means the CPU, and None.

    Raises:
        ArgumentError, ValueRangeError: any other device.
    """
    if device is not None and device is not CPU:
        Device(device)  # type: ignore[arg-type]
