"""Saving and loading of tensors and containers of tensors.

The format is a pickle of plain containers, numbers and tensors. Loading accepts only those types, so a file from
elsewhere cannot run code.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

from tracegraph.errors import ValueRangeError

_ALLOWED = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "complex"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
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
                "loaded. Save a state_dict() rather than a module"
            )
        return super().find_class(module, name)


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write `obj` (tensors, numbers, strings, and containers of them) to `path`, atomically.

    Raises:
        OSError: the file cannot be written; what stood there before is untouched.
    """
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            pickle.dump(obj, file, protocol=5)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def load(path: str | os.PathLike[str]) -> Any:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueRangeError: the file is no such file, is damaged, or holds other types.
    """
    with Path(path).open("rb") as file:
        try:
            return _Unpickler(file).load()
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError) as e:
            raise ValueRangeError(f"load(): {path} is not a file written by tracegraph.save: {e}") from None
