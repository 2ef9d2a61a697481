"""Saving and loading of tensors and containers of tensors.

The format is a pickle of plain containers, numbers and tensors. Unless told otherwise, loading accepts only those
types, so a file from elsewhere cannot run code.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path
from typing import IO, Any

from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.core.device import check_device

_ALLOWED = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "complex"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("tracegraph", "Size"),
    ("tracegraph.dtypes", "from_name"),
    ("tracegraph.tensor.tensor", "_rebuild"),
    ("tracegraph.tensor.tensor", "Tensor"),
    ("tracegraph.nn.parameter", "Parameter"),
    ("ml_dtypes", "bfloat16"),
}
_NUMPY_NAMES = {"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        numpy_internal = module.split(".", maxsplit=1)[0] == "numpy" and name in _NUMPY_NAMES
        if (module, name) not in _ALLOWED and not numpy_internal:
            raise ValueRangeError(
                f"load(): the file refers to {module}.{name}; only tensors, numbers, strings and containers are "
                "loaded. Save a state_dict() rather than a module, or pass weights_only=False if you trust the file: "
                "it may then run any code"
            )
        return super().find_class(module, name)


def save(obj: Any, f: str | os.PathLike[str] | IO[bytes]) -> None:
    """Write `obj` (tensors, numbers, strings, and containers of them) to `f`, a path or a file open for writing bytes.

    A path is written atomically: the file holds either what it held before or all of `obj`.

    Raises:
        ArgumentError: `f` is neither.
        OSError: the file cannot be written.
    """
    if isinstance(f, (str, os.PathLike)):
        _save_to_path(obj, Path(f))
    elif hasattr(f, "write"):
        pickle.dump(obj, f, protocol=5)
    else:
        raise ArgumentError(f"save(): f must be a path or a file open for writing bytes, not {type(f).__name__}")


def _save_to_path(obj: Any, target: Path) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            pickle.dump(obj, file, protocol=5)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def load(f: str | os.PathLike[str] | IO[bytes], map_location: Any = None, *, weights_only: bool = True) -> Any:
    """Read what `save` wrote, from a path or a file open for reading bytes.

    Args:
        f: the path or file.
        map_location: None or the CPU, the only device there is.
        weights_only: whether to refuse everything but tensors, numbers, strings and containers of them. With False any
            pickled object is loaded, and a file made to do so runs any code.

    Raises:
        FileNotFoundError: there is no such file.
        ArgumentError: `f` or `map_location` is of another type.
        ValueRangeError: the file is no such file, is damaged, or holds other types.
    """
    check_device(map_location)
    if isinstance(f, (str, os.PathLike)):
        with Path(f).open("rb") as file:
            return _read(file, str(f), weights_only)
    if hasattr(f, "read") and hasattr(f, "readline"):
        return _read(f, "the file", weights_only)
    raise ArgumentError(f"load(): f must be a path or a file open for reading bytes, not {type(f).__name__}")


def _read(file: IO[bytes], name: str, weights_only: bool) -> Any:
    unpickler = _Unpickler if weights_only else pickle.Unpickler
    try:
        return unpickler(file).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError) as e:
        raise ValueRangeError(f"load(): {name} is not a file written by tracegraph.save: {e}") from None
