"""What is worked out once for each code object, and forgotten with it."""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerCode(Generic[T]):
    """A function of code objects that remembers its results; use it as a decorator.

    Results must not refer to the code object. Code objects are told apart by identity: equal ones may come from
    different files.
    """

    def __init__(self, make: Callable[[types.CodeType], T]) -> None:
        self._make = make
        self._known: dict[int, tuple[weakref.ref[types.CodeType], T]] = {}

    def __call__(self, code: types.CodeType) -> T:
        key = id(code)
        found = self._known.get(key)
        if found is None or found[0]() is not code:
            found = self._known[key] = (weakref.ref(code, lambda dead: self._forget(key, dead)), self._make(code))
        return found[1]

    def _forget(self, key: int, dead: weakref.ref[types.CodeType]) -> None:
        found = self._known.get(key)
        if found is not None and found[0] is dead:
            del self._known[key]
