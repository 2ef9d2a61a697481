"""Executing generated programs and taking down everything that can be seen of a call.

The same source is loaded once for eager execution and once for captured execution, so neither sees the other's globals.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracegraph.tensor import Tensor

Comparison = Callable[[np.ndarray, np.ndarray, str], None]


@dataclass
class Module:
    """A loaded program: its namespace, and the function to call in place of its `f`."""

    namespace: dict[str, Any]
    function: Callable[..., Any]

    @classmethod
    def load(cls, source: str, name: str, wrap: Callable[[Any], Any] = lambda f: f) -> Module:
        """Execute the source; `wrap` makes the function that is called."""
        file = f"<{name} program>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        namespace: dict[str, Any] = {"__name__": name}
        exec(compile(source, file, "exec"), namespace)
        return cls(namespace, wrap(namespace["f"]))

    def state(self) -> dict[str, Any]:
        """The globals that programs write, and the attributes of classes."""
        found = {k: self.namespace[k] for k in ("LOG", "COUNT", "SCALE", "STATE") if k in self.namespace}
        if "Box" in self.namespace:
            found["Box.limit"] = self.namespace["Box"].limit
        return found


@dataclass
class Seen:
    """What can be seen of a call: a text of structure, values and identities; tensors and floats apart, in order.

    `refusal`: why there are no gradients, as a value that they need has been overwritten.
    """

    lines: list[str] = field(default_factory=list)
    arrays: list[tuple[str, np.ndarray]] = field(default_factory=list)
    gradients: list[np.ndarray] = field(default_factory=list)
    refusal: str | None = None
    _numbers: dict[int, int] = field(default_factory=dict)
    #: numbers of memories, and where in each the first tensor seen lies: the rest of it may not exist
    _storages: dict[int, tuple[int, int]] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)

    def add(self, path: str, value: Any) -> None:
        """Take down a value and all that it holds."""
        if isinstance(value, float | np.ndarray):
            self.lines.append(f"{path}: {type(value).__name__}")
            self.arrays.append((path, np.asarray(value)))
            return
        if value is None or isinstance(value, int | str | type):
            self.lines.append(f"{path}: {value!r}")
            return
        known = id(value) in self._numbers and not isinstance(value, tuple)
        number = self._numbers.setdefault(id(value), len(self._numbers))
        self._kept.append(value)
        label = "" if isinstance(value, tuple) else f" #{number}"
        self.lines.append(f"{path}: {type(value).__name__}{label}")
        if not known:
            self._add_content(path, value)

    def _add_content(self, path: str, value: Any) -> None:
        if isinstance(value, Tensor):
            memory = value.storage
            self._kept.append(memory)
            number, start = self._storages.setdefault(id(memory), (len(self._storages), value.storage_offset()))
            self.lines.append(
                f"{path}: {value.dtype} {value.shape} {value.stride()} requires_grad={value.requires_grad} "
                f"is_leaf={value.is_leaf} storage #{number} +{value.storage_offset() - start}"
            )
            self.arrays.append((path, value._np))
        elif isinstance(value, dict):
            for key, item in value.items():
                self.add(f"{path}[{key!r}]", item)
        elif isinstance(value, list | tuple):
            self.lines.append(f"{path}: {len(value)} items")
            for i, item in enumerate(value):
                self.add(f"{path}[{i}]", item)
        elif isinstance(value, BaseException):
            self.lines.append(f"{path}: {value}")
            self.add(f"{path}.__cause__", value.__cause__)
            self.add(f"{path}.__context__", value.__context__)
        elif not isinstance(value, types.FunctionType | types.MethodType) and hasattr(value, "__dict__"):
            self.add(f"{path}.__dict__", vars(value))

    def tensors(self) -> list[Tensor]:
        return [v for v in self._kept if isinstance(v, Tensor)]


def seen_of_call(module: Module, options: dict[str, Any]) -> Seen:
    """Call the function on new arguments: result or exception, text, arguments and globals afterwards, gradients."""
    leaves = module.namespace["LEAVES"]
    leaves.clear()
    args = module.namespace["arguments"](**options)
    held = [list(a) if isinstance(a, list) else a for a in args]  # iterators are looked at below
    seen, printed = Seen(), io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            seen.add("result", module.function(*args))
        except Exception as error:
            seen.add("raised", error)
    seen.lines += [f"printed: {line}" for line in printed.getvalue().splitlines()]
    seen.lines += [f"warned: {w.message}" for w in caught if _is_complaint(str(w.message))]
    for i, (arg, before) in enumerate(zip(args, held, strict=True)):
        seen.add(f"args[{i}]", list(arg) if hasattr(arg, "__next__") else arg)
        seen.add(f"before[{i}]", before if isinstance(before, list) else None)
    seen.add("globals", module.state())
    _differentiate(seen, leaves)
    return seen


def _is_complaint(warning: str) -> bool:
    """Whether the compiler says that it failed; that it does not capture once more is no failure."""
    return warning.startswith("tracegraph:") and "recompile_limit" not in warning


def _differentiate(seen: Seen, leaves: list[Tensor]) -> None:
    roots = [t for t in dict.fromkeys(seen.tensors()) if t.requires_grad]
    if not roots:
        return
    try:
        sum((t.sum() for t in roots), start=0.0).backward()
    except RuntimeError as error:
        seen.refusal = str(error)
        return
    # no gradient and a gradient of zeros say the same
    seen.gradients = [np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy() for leaf in leaves]


def compare(actual: Seen, expected: Seen, same_array: Comparison) -> None:
    """Fail unless both calls looked the same."""
    assert actual.lines == expected.lines
    for (path, a), (_, e) in zip(actual.arrays, expected.arrays, strict=True):
        same_array(a, e, path)
    if expected.refusal is not None and actual.refusal is None:
        return  # compiled graphs keep what they need, even if the program overwrites it
    assert actual.refusal == expected.refusal
    for a, e in zip(actual.gradients, expected.gradients, strict=True):
        same_array(a, e.astype(a.dtype), "gradient")


def exactly(actual: np.ndarray, expected: np.ndarray, path: str) -> None:
    """Equal elements; nan equals nan."""
    np.testing.assert_array_equal(actual, expected, err_msg=path)
