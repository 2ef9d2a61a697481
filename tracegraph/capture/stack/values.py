"""What lies on the symbolic stack: real Python values, tensor proxies, and a few stand-ins; predicates on them.

Constants, containers, classes and functions are the real objects. A tensor is a `Traced` handle, a dynamic size a
`SymExpr`. Objects that existed before the trace are themselves, and only `tracer.Tracer` knows where they came from.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import functools
import math
import operator
import pathlib
import re
import sys
import time
import types
from typing import Any

import numpy as np

from tracegraph.capture.stack.numpy_numbers import NumberMethod, NumpyNumber
from tracegraph.capture.stack.texts import VaryingText
from tracegraph.dtypes import DType
from tracegraph.ir import Op, SymExpr
from tracegraph.ops.core.device import Device
from tracegraph.ops.core.size import Size
from tracegraph.ops.core.sym_float import SymFloat
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.handles.tensor_class import TensorClass
from tracegraph.tensor import Tensor

_NAMEDTUPLE: Any = collections.namedtuple("_NAMEDTUPLE", ["field"])


class _Null:
    """The NULL that CPython pushes beside callables and for unbound comprehension variables."""

    def __repr__(self) -> str:
        return "NULL"


NULL = _Null()


_NO_FRAME: Any = (_ for _ in ())


def unknown_traceback() -> types.TracebackType:
    """What the traced program has for the traceback of an exception: it may be passed on, not looked into."""
    return types.TracebackType(None, _NO_FRAME.gi_frame, 0, 1)


def is_unknown_traceback(value: Any) -> bool:
    """Whether `value` is the traceback of an exception of the traced program."""
    return type(value) is types.TracebackType and value.tb_frame is _NO_FRAME.gi_frame


class Observed(BaseException):
    """An exception of the traced program, on its way to the handler the program has for it.

    Args:
        again: whether a handler raises it again, as it came: the traceback does not grow.
    """

    def __init__(self, exception: BaseException, again: bool = False) -> None:
        super().__init__(exception)
        self.exception = exception
        self._is_leaving = False
        if not again:
            exception.__traceback__ = unknown_traceback()
        if isinstance(exception.__context__, Observed):
            # raised by a native call while the machine was handling another exception of the program
            exception.__context__ = None

    def enter_frame(self) -> None:
        """Reach a frame: the one that raises it or, its traceback longer by a line, a caller."""
        if self._is_leaving:
            self.exception.__traceback__ = unknown_traceback()
        self._is_leaving = True

    def for_native_code(self) -> BaseException:
        """What to raise where C code has called into the trace: the exception, or this for what is no Exception.

        C code lets both through; to the machine, a bare KeyboardInterrupt or SystemExit is not the program's.
        """
        return self.exception if isinstance(self.exception, Exception) else self


#: values that are guarded by equality and may be baked into code
CONSTANT_TYPES: frozenset[Any] = frozenset({
    int, float, complex, bool, str, bytes, type(None), type(...), type(NotImplemented),
    range, types.CodeType, DType, re.Pattern, re.Match, Device, types.GenericAlias, types.UnionType,
    fractions.Fraction, decimal.Decimal, datetime.timedelta, datetime.date, datetime.time, datetime.datetime,
    pathlib.PurePath, pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath,
    pathlib.Path, type(sys.version_info), type(sys.flags), type(sys.float_info), type(sys.int_info), time.struct_time,
}) | frozenset(np.sctypeDict.values())  # fmt: skip

#: objects guarded by identity
IDENTITY_TYPES = (
    # classes, modules, C functions
    type, types.ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType,
    types.ClassMethodDescriptorType, types.MethodWrapperType, np.ufunc, np.dtype, Op,
    # descriptors
    types.MemberDescriptorType, types.GetSetDescriptorType, property, staticmethod, classmethod,
    functools.cached_property, type(_NAMEDTUPLE.field),
    # immutable instances
    enum.Enum, operator.itemgetter, operator.attrgetter, operator.methodcaller,
)  # fmt: skip

CONTAINER_TYPES: frozenset[type] = frozenset({
    list, dict, set, tuple, Size, frozenset, slice, bytearray,
    collections.deque, collections.OrderedDict, collections.defaultdict, types.MappingProxyType,
})  # fmt: skip

DICT_VIEW_TYPES: tuple[Any, ...] = (type({}.keys()), type({}.values()), type({}.items()))


#: tuples that are no more than their items
TUPLES: frozenset[type] = frozenset({tuple, Size})
SEQUENCES = TUPLES | {list}


def is_constant(value: Any) -> bool:
    """Whether `value` is immutable data, equal by value, all the way down."""
    kind = type(value)
    if kind in CONSTANT_TYPES:
        return True
    if kind in TUPLES or kind is frozenset:
        return all(map(is_constant, value))
    if kind is slice:
        return all(map(is_constant, (value.start, value.stop, value.step)))
    return False


#: bits of `type.__flags__`
_HEAP_TYPE, _IMMUTABLE_TYPE = 1 << 9, 1 << 8
#: extension modules whose classes look like Python ones to the type flags
_ACCELERATORS = ("_functools", "itertools", "_operator", "_collections", "_random", "_struct", "_sre", "_thread",
                 "_weakref", "_io", "_abc", "_contextvars", "_queue", "array", "select", "_asyncio")  # fmt: skip
_C_CLASSES = frozenset(
    cls
    for module in _ACCELERATORS
    if module in sys.modules
    for cls in vars(sys.modules[module]).values()
    if isinstance(cls, type)
) | {TensorClass, Size}  # the one counts changes, and is `type` otherwise; the other is a tuple


def is_python_class(cls: type) -> bool:
    """Whether a class statement made `cls`, so that its behaviour may be Python code.

    A SimpleNamespace keeps its attributes like such a class, and counts as one; a class of immutable data does not.
    """
    if cls is types.SimpleNamespace:
        return True
    if cls in CONSTANT_TYPES:
        return False
    return cls.__flags__ & (_HEAP_TYPE | _IMMUTABLE_TYPE) == _HEAP_TYPE and cls not in _C_CLASSES


def is_of_python(function: Any) -> bool:
    """Whether a callable that was found under a name of Python's library, or of this one, is what belongs there.

    A program may have put its own in that place before capture is loaded.
    """
    if isinstance(function, types.FunctionType):
        top = str(function.__globals__.get("__name__")).partition(".")[0]
        return top in sys.stdlib_module_names or top == "tracegraph"
    return isinstance(function, type) or not is_instance_of_python_class(function)


def native_base(cls: type) -> type:
    """The C class that allocates instances of `cls`."""
    candidates = (b for b in cls.__mro__ if "__new__" in b.__dict__)
    return next(b for b in candidates if b is types.SimpleNamespace or not is_python_class(b))


def is_instance_of_python_class(value: Any) -> bool:
    """Whether operations on `value` may run Python code of its class: a user's object, not a proxy or a class."""
    cls = type(value)
    return is_python_class(cls) and not isinstance(value, type) and cls not in STAND_INS


#: C classes of immutable data from which programs derive
VALUE_BASES: tuple[Any, ...] = (int, float, complex, str, bytes)


def base_value(value: Any) -> Any:
    """An instance of a class derived from a number or text, as that number or text, past what the class overrides."""
    base = next(b for b in VALUE_BASES if isinstance(value, b))
    return complex(value.real, value.imag) if base is complex else base.__getnewargs__(value)[0]


def is_namedtuple(value: Any) -> bool:
    """Whether `value` is a tuple of a derived class."""
    return isinstance(value, tuple) and type(value) not in TUPLES


#: our own Python classes on the stack, and the class the traced program sees (None: its own)
STAND_INS: dict[type, type | None] = {
    Traced: Tensor,
    SymExpr: int,
    SymFloat: float,
    NumpyNumber: None,
    NumberMethod: None,
    VaryingText: str,
    DType: None,
    Device: None,
    _Null: None,
}


def is_tensor(value: Any) -> bool:
    """Whether `value` is a traced tensor."""
    return type(value) is Traced


def is_varying(value: Any) -> bool:
    """Whether `value` stands for a number that may differ in the next call."""
    return type(value) in _VARYING


def is_nan(value: Any) -> bool:
    """Whether `value` is a float that is equal to nothing, and found in containers by identity."""
    return type(value) is float and math.isnan(value)


def is_number(value: Any) -> bool:
    """Whether `value` is an int, a float or a number of numpy's, or stands for one."""
    return type(value) in _NUMBERS


_VARYING = frozenset((SymFloat, SymExpr, NumpyNumber))
#: numbers of numpy's that may become symbols
NUMPY_NUMBERS: frozenset[Any] = frozenset(
    t for t in np.sctypeDict.values() if issubclass(t, np.integer | np.floating) and not issubclass(t, np.longdouble)
)
_NUMBERS = _VARYING | NUMPY_NUMBERS | {int, float, bool}
