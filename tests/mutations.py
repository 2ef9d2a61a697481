"""What a program depends on, changed one thing at a time: the sound use of guards is tested by these changes.

`places_of(program, args)` finds everything that can be changed and that the program may have looked at: arguments and
what they hold, globals the code names, cells, defaults, attributes of instances and classes. `changes_of(value)` says
how a value may change. A place is found by its path from the roots, so that the same change can be made to arguments
built anew.
"""

from __future__ import annotations

import collections
import copy
import dataclasses
import enum
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tracegraph as tg
from tracegraph.tensor import Tensor

MAX_DEPTH = 6
#: attributes that the library keeps for itself, or that describe and do not decide
_NOT_STATE = frozenset({
    "__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__firstlineno__", "__static_attributes__",
    "__annotations__", "__annotate_func__", "__annotate__", "__annotations_cache__", "__orig_bases__",
    "__parameters__", "__abstractmethods__", "_abc_impl", "__match_args__", "__slots__", "__dataclass_fields__",
    "__dataclass_params__", "__classcell__", "__slotnames__", "_changes", "_is_protocol", "_is_runtime_protocol",
})  # fmt: skip
DELETED: Any = object()
#: names of the replaced functions that have been called; how often some are called is up to the interpreter's C code
CALLED: set[str] = set()


@dataclass(frozen=True)
class Step:
    """One step of a path: `kind` is item, attribute, cell, class entry or default."""

    kind: str
    key: Any

    def get(self, holder: Any) -> Any:
        return _GET[self.kind](holder, self.key)

    def set(self, holder: Any, value: Any) -> None:
        _SET[self.kind](holder, self.key, value)

    def __str__(self) -> str:
        return f"[{self.key!r}]" if self.kind in ("item", "default") else f".{self.key}"


@dataclass(frozen=True)
class Place:
    """Something that can be replaced: a path from the arguments (root None), or from an object all calls share."""

    root: Any
    path: tuple[Step, ...]

    def holder(self, args: tuple[Any, ...]) -> Any:
        found = list(args) if self.root is None else self.root
        for step in self.path[:-1]:
            found = step.get(found)
        return found

    def __str__(self) -> str:
        label = "args" if self.root is None else getattr(self.root, "__name__", type(self.root).__name__)
        return label + "".join(map(str, self.path))


def _get_attribute(holder: Any, name: str) -> Any:
    return object.__getattribute__(holder, name)


def _set_attribute(holder: Any, name: str, value: Any) -> None:
    if value is DELETED:
        object.__delattr__(holder, name)
    else:
        object.__setattr__(holder, name, value)


def _set_entry(holder: Any, name: str, value: Any) -> None:
    if value is DELETED:
        type.__delattr__(holder, name)
    else:
        type.__setattr__(holder, name, value)


def _set_item(holder: Any, key: Any, value: Any) -> None:
    if value is DELETED:
        del holder[key]
    else:
        holder[key] = value


def _set_cell(cell: types.CellType, name: str, value: Any) -> None:
    if value is DELETED:
        del cell.cell_contents
    else:
        cell.cell_contents = value


def _set_default(function: Any, index: int, value: Any) -> None:
    defaults = list(function.__defaults__)
    defaults[index] = None if value is DELETED else value
    function.__defaults__ = tuple(defaults)


_GET: dict[str, Callable[[Any, Any], Any]] = {
    "item": lambda holder, key: holder[key],
    "attribute": _get_attribute,
    "entry": lambda holder, name: holder.__dict__[name],
    "cell": lambda cell, name: cell.cell_contents,
    "default": lambda function, index: function.__defaults__[index],
}
_SET: dict[str, Callable[[Any, Any, Any], None]] = {
    "item": _set_item,
    "attribute": _set_attribute,
    "entry": _set_entry,
    "cell": _set_cell,
    "default": _set_default,
}


# ------------------------------------------------------------------------------------------ finding places


def places_of(function: Any, args: tuple[Any, ...]) -> list[Place]:
    """Everything the program may look at that can be replaced."""
    found: list[Place] = []
    seen: set[int] = set()
    for i, arg in enumerate(args):
        _walk(arg, None, (Step("item", i),), found, seen)
    _walk_function(function, found, seen)
    return found


def _walk(value: Any, root: Any, path: tuple[Step, ...], found: list[Place], seen: set[int]) -> None:
    found.append(Place(root, path))
    if len(path) >= MAX_DEPTH or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, types.FunctionType):
        if root is not None:  # what a function among the arguments holds is made anew with it
            _walk_function(value, found, seen)
    elif isinstance(value, type):
        _walk_class(value, found, seen)
    else:
        for step in _steps(value):
            _walk(step.get(value), root, (*path, step), found, seen)
        if type(value).__module__.startswith("programs"):
            _walk_class(type(value), found, seen)


def _steps(value: Any) -> Iterator[Step]:
    if isinstance(value, list | collections.deque):
        yield from (Step("item", i) for i in range(len(value)))
    elif isinstance(value, dict):
        yield from (Step("item", k) for k in list(value))
    if _is_instance(value):
        names = [n for n in vars(value) if n not in _NOT_STATE and not n.endswith("_hooks")]
        yield from (Step("attribute", n) for n in names)


def _is_instance(value: Any) -> bool:
    """Whether `value` is an object of a program's class, or one that programs are made of."""
    is_ours = type(value).__module__.startswith(("programs", "tracegraph.nn", "types"))
    is_plain = isinstance(value, type | types.ModuleType | types.FunctionType | Tensor | enum.Enum)
    return is_ours and not is_plain and type(getattr(value, "__dict__", None)) is dict


def _walk_function(function: Any, found: list[Place], seen: set[int]) -> None:
    function = getattr(function, "__func__", function)
    if not isinstance(function, types.FunctionType) or not function.__module__.startswith("programs"):
        return
    namespace = function.__globals__
    for name in sorted(_names(function.__code__) & namespace.keys()):
        if not isinstance(namespace[name], types.ModuleType):
            _walk(namespace[name], namespace, (Step("item", name),), found, seen)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        _walk(cell.cell_contents, cell, (Step("cell", name),), found, seen)
    for i, default in enumerate(function.__defaults__ or ()):
        _walk(default, function, (Step("default", i),), found, seen)


def _names(code: types.CodeType) -> set[str]:
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _walk_class(cls: type, found: list[Place], seen: set[int]) -> None:
    for base in cls.__mro__:
        if not base.__module__.startswith("programs") or isinstance(base, enum.EnumMeta):
            continue
        for name, value in list(vars(base).items()):
            if name not in _NOT_STATE and not isinstance(value, types.MemberDescriptorType):
                _walk(value, base, (Step("entry", name),), found, seen)


# ------------------------------------------------------------------------------------------ changing values


def changes_of(value: Any) -> Iterator[tuple[str, Any]]:
    """(what is done, the new value) for each way in which a value may change."""
    for kinds, changes in _CHANGES:
        if isinstance(value, kinds):
            yield from changes(value)
            return
    if _is_instance(value) and not isinstance(value, BaseException):
        yield from _instance_changes(value)


def _tensor_changes(value: Tensor) -> Iterator[tuple[str, Any]]:
    plain = value.detach()
    yield "other elements", (plain * 2).to(value.dtype).requires_grad_(value.requires_grad)
    if value.dtype.is_floating:
        yield "requires_grad switched", plain.clone().requires_grad_(not value.requires_grad)
        yield "another dtype", plain.double().requires_grad_(value.requires_grad)
    if value.ndim:
        yield "twice as long", tg.cat([plain, plain], 0).requires_grad_(value.requires_grad)
        yield "one dimension more", plain.unsqueeze(0).clone().requires_grad_(value.requires_grad)
    if value.ndim >= 2:
        strided = plain.transpose(0, 1).contiguous().transpose(0, 1)
        yield "other strides", strided.requires_grad_(value.requires_grad)


def _function_changes(value: types.FunctionType) -> Iterator[tuple[str, Any]]:
    def replaced(*args: Any, **kwargs: Any) -> Any:
        CALLED.add(value.__name__)
        return value(*args, **kwargs)

    yield "another function", replaced


def _list_changes(value: list[Any]) -> Iterator[tuple[str, Any]]:
    if value:
        yield "one item more", [*value, value[-1]]
        yield "one item less", value[:-1]
        yield "reversed", value[::-1]


def _dict_changes(value: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    if type(value) is not dict:
        return
    if len(value) > 1:
        yield "another order", dict(reversed(value.items()))
    if value:
        key, item = next(iter(value.items()))
        yield "one key less", {k: v for k, v in value.items() if k != key}
        if isinstance(key, str):
            yield "one key more", {**value, f"{key}_more": item}


def _instance_changes(value: Any) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(value) or type(value).__module__.startswith("programs"):
        yield "an equal object", copy.copy(value)
    yield "removed", DELETED


def _tuple_changes(value: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    for i, item in enumerate(value):
        for text, changed in changes_of(item):
            if changed is not DELETED:
                items = (*value[:i], changed, *value[i + 1 :])
                yield f"item {i}: {text}", items if type(value) is tuple else tuple.__new__(type(value), items)


_CHANGES: list[tuple[Any, Callable[[Any], Iterator[tuple[str, Any]]]]] = [
    (Tensor, _tensor_changes),
    (enum.Enum, lambda value: iter([("another member", m) for m in type(value) if m is not value][:1])),
    (bool, lambda value: iter([("negated", not value), ("an int", int(value)), ("removed", DELETED)])),
    (int, lambda value: iter([("one more", value + 1), ("as a float", float(value)), ("removed", DELETED)])),
    (float, lambda value: iter([("another number", value * 2 + 0.5), ("minus zero", -0.0)])),
    (str, lambda value: iter([("a longer text", value + "_"), ("removed", DELETED)])),
    (type(None), lambda value: iter([("a number", 1)])),
    (types.FunctionType, _function_changes),
    (list, _list_changes),
    (dict, _dict_changes),
    (tuple, _tuple_changes),
]


# ------------------------------------------------------------------------------------------ keeping shared state


class Shared:
    """Everything that calls share and may write to, to be put back after each call."""

    def __init__(self, places: list[Place]) -> None:
        holders = {id(h): h for p in places if p.root is not None for h in (p.root, *_holders(p))}
        self._saved = [(h, _contents(h)) for h in holders.values()]

    def restore(self) -> None:
        """Put every holder back to what it was."""
        for holder, contents in self._saved:
            _put_back(holder, contents)


def _holders(place: Place) -> Iterator[Any]:
    found = place.root
    for step in place.path:
        found = step.get(found)
        if isinstance(found, list | dict | type) or _is_instance(found):
            yield found


def _contents(holder: Any) -> Any:
    if isinstance(holder, list | dict):
        return copy.copy(holder)
    if isinstance(holder, types.CellType):
        return holder.cell_contents
    if isinstance(holder, types.FunctionType):
        return holder.__defaults__
    return dict(vars(holder))


def _put_back(holder: Any, contents: Any) -> None:
    if isinstance(holder, list):
        holder[:] = contents
    elif isinstance(holder, dict):
        _put_back_dict(holder, contents)
    elif isinstance(holder, types.CellType):
        holder.cell_contents = contents
    elif isinstance(holder, types.FunctionType):
        holder.__defaults__ = contents
    elif isinstance(holder, type):
        for name in [n for n in vars(holder) if n not in contents]:
            type.__delattr__(holder, name)
        for name, value in contents.items():
            if vars(holder).get(name, DELETED) is not value and name not in _NOT_STATE:
                type.__setattr__(holder, name, value)
    else:
        _put_back_dict(vars(holder), contents)


def _is_namespace(holder: dict[Any, Any]) -> bool:
    return "__name__" in holder and "__spec__" in holder


def _put_back_dict(holder: dict[Any, Any], contents: dict[Any, Any]) -> None:
    if _is_namespace(holder):
        # the order of a module's names does not matter, and the module is in use
        for name in [n for n in holder if n not in contents]:
            del holder[name]
        holder.update(contents)
    else:
        holder.clear()
        holder.update(contents)
