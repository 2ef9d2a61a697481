"""Element types: ten dtypes, their names, their numpy counterparts and PyTorch's promotion lattice.

A `DType` is a singleton, so it compares by identity and pickles to its name. The short name (`f32`) is used in
IR text, the long one (`tracegraph.float32`) by `str`.
"""

from __future__ import annotations

import functools

import ml_dtypes
import numpy as np

from tracegraph.errors import DTypeError
from tracegraph.settings import Settings


class DType:
    """An element type; use the module's singletons (`float32`, `int64`, ...), never construct one."""

    __slots__ = (
        "category",
        "is_bool",
        "is_floating",
        "is_floating_point",
        "is_integer",
        "is_signed",
        "itemsize",
        "long_name",
        "name",
        "np",
        "rank",
    )

    is_bool: bool
    is_integer: bool
    is_floating: bool
    is_floating_point: bool
    is_signed: bool

    def __init__(self, name: str, long_name: str, np_dtype: np.dtype, category: int, rank: int) -> None:
        self.name = name
        self.long_name = long_name
        self.np = np_dtype
        self.itemsize = np_dtype.itemsize
        self.category = category  # 0 bool, 1 integer, 2 floating: the order of PyTorch's promotion
        self.rank = rank
        self.is_bool = category == BOOL
        self.is_integer = category == INTEGER
        self.is_floating = category == FLOATING
        self.is_floating_point = self.is_floating  # PyTorch spells it so
        self.is_signed = self.is_floating or np_dtype.kind == "i"

    @property
    def compute(self) -> DType:
        """The dtype arithmetic runs in: float32 for the 16-bit floats, itself for the rest."""
        return float32 if self in (float16, bfloat16) else self

    def __repr__(self) -> str:
        return f"tracegraph.{self.long_name}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return from_name, (self.name,)

    def __copy__(self) -> DType:
        return self

    def __deepcopy__(self, memo: object) -> DType:
        return self


BOOL, INTEGER, FLOATING = 0, 1, 2

bool_ = DType("bool", "bool", np.dtype(np.bool_), BOOL, 0)
uint8 = DType("u8", "uint8", np.dtype(np.uint8), INTEGER, 0)
int8 = DType("i8", "int8", np.dtype(np.int8), INTEGER, 0)
int16 = DType("i16", "int16", np.dtype(np.int16), INTEGER, 1)
int32 = DType("i32", "int32", np.dtype(np.int32), INTEGER, 2)
int64 = DType("i64", "int64", np.dtype(np.int64), INTEGER, 3)
float16 = DType("f16", "float16", np.dtype(np.float16), FLOATING, 0)
bfloat16 = DType("bf16", "bfloat16", np.dtype(ml_dtypes.bfloat16), FLOATING, 0)
float32 = DType("f32", "float32", np.dtype(np.float32), FLOATING, 1)
float64 = DType("f64", "float64", np.dtype(np.float64), FLOATING, 2)

ALL = (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)
FLOATING_DTYPES = tuple(d for d in ALL if d.is_floating)
INTEGER_DTYPES = tuple(d for d in ALL if d.is_integer)

_BY_NAME = {n: d for d in ALL for n in (d.name, d.long_name)} | {
    "half": float16,
    "float": float32,
    "double": float64,
    "int": int32,
    "long": int64,
    "short": int16,
}
_BY_NP = {d.np: d for d in ALL}


def from_name(name: str) -> DType:
    """The dtype called `name`, short (`f32`) or long (`float32`).

    Raises:
        DTypeError: no dtype has this name.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise DTypeError(f"unknown dtype {name!r}; one of {', '.join(d.name for d in ALL)}") from None


class _Default(Settings):
    """Of the process: the floating dtype where nothing else decides."""

    questions = {"dtype": "get_default_dtype()"}

    def __init__(self) -> None:
        self._dtype = float32

    @property
    def dtype(self) -> DType:
        self.obeyed += 1
        return self._dtype

    @dtype.setter
    def dtype(self, dtype: DType) -> None:
        self._dtype = dtype

    def is_now(self, dtype: DType) -> bool:
        """Whether it is `dtype`, for what only looks and does not obey."""
        return self._dtype is dtype

    @property
    def implicit(self) -> tuple[str, ...]:
        return ("dtype",)


DEFAULT = _Default.register()


@functools.lru_cache(maxsize=256)
def from_numpy(np_dtype: np.dtype) -> DType:
    """The dtype of a numpy dtype, whatever descriptor object it is (`longlong` is int64 too).

    Raises:
        DTypeError: tracegraph has no such element type (complex, string, object, unsigned beyond 8 bits).
    """
    found = _BY_NP.get(np_dtype.newbyteorder("="))
    if found is None and np_dtype.kind == "i":
        found = {1: int8, 2: int16, 4: int32, 8: int64}.get(np_dtype.itemsize)
    if found is None:
        raise DTypeError(
            f"numpy dtype {np_dtype} has no tracegraph counterpart; convert it to one of "
            f"{', '.join(d.long_name for d in ALL)}"
        )
    return found


def of_scalar(value: object) -> DType:
    """The dtype a Python scalar stands for when no tensor decides: bool, int64, or the default floating dtype.

    Symbolic numbers count as what they stand for: those for integers have `__index__`, as integers do.
    """
    return (bool_, int64)[category] if (category := category_of_scalar(value)) != FLOATING else DEFAULT.dtype


def category_of_scalar(value: object) -> int:
    """The category of the dtype that a Python scalar stands for."""
    if isinstance(value, bool | np.bool_):
        return BOOL
    return INTEGER if hasattr(type(value), "__index__") else FLOATING


@functools.cache
def promote_types(a: DType, b: DType) -> DType:
    """PyTorch's promotion of two tensor dtypes (`torch.promote_types`)."""
    if a is b:
        return a
    if a.category != b.category:
        return a if a.category > b.category else b
    if a.category == INTEGER:
        if uint8 in (a, b):
            other = b if a is uint8 else a
            return int16 if other is int8 else other
        return a if a.rank > b.rank else b
    if {a, b} == {float16, bfloat16}:
        return float32
    return a if a.rank > b.rank else b


def as_dtype(value: object) -> DType:
    """Accept a DType, a dtype name, a numpy dtype or scalar type, or Python's bool, int, float.

    Raises:
        DTypeError: `value` names no dtype.
    """
    if isinstance(value, DType):
        return value
    if isinstance(value, str):
        return from_name(value)
    if isinstance(value, type) and value in _PYTHON_TYPES:
        return _PYTHON_TYPES[value]
    try:
        return from_numpy(np.dtype(value))  # type: ignore[call-overload]
    except TypeError:
        raise DTypeError(f"{value!r} is not a dtype; pass for example tracegraph.float32") from None


_PYTHON_TYPES: dict[object, DType] = {bool: bool_, int: int64, float: float32}
