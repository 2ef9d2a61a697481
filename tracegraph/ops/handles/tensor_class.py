"""The metaclass of tensors: it knows which of the library's methods the running program has replaced.

Captured code takes the methods of tensors for granted. Programs replace them all the same (instrumentation, tests), so
every assignment to a tensor class is compared with what the library defines. What differs is one interned set: a guard
on all methods of all tensors is one comparison of identities.
"""

from __future__ import annotations

import threading
from typing import Any

_MISSING: Any = object()


class Replacements:
    """What the program has changed of the library's tensor classes.

    Attributes:
        names: (class, name) of what is not as the library defines it: methods and properties replaced or deleted, and
            special methods added. Other attributes that a program adds change nothing that was there. Of equal sets
            there is one.
    """

    __slots__ = ("_lock", "_originals", "_sets", "names")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._originals: dict[type, dict[str, Any]] = {}
        self.names: frozenset[tuple[type, str]] = frozenset()
        self._sets: dict[frozenset[tuple[type, str]], frozenset[tuple[type, str]]] = {self.names: self.names}

    def seal(self, *classes: type) -> None:
        """These classes, and their bases, are as the library defines them; every later change is the program's."""
        for cls in {base for c in classes for base in c.__mro__ if isinstance(base, TensorClass)}:
            self._originals.setdefault(cls, dict(vars(cls)))

    def note(self, cls: type, name: str) -> None:
        """An attribute of a tensor class has been set or deleted."""
        originals = self._originals.get(cls)
        if originals is None:
            return  # a class of the program's, or the library is being loaded
        with self._lock:
            is_original = vars(cls).get(name, _MISSING) is originals.get(name, _MISSING)
            if not is_original and self.original(cls, name, _MISSING) is _MISSING:
                is_original = not (name.startswith("__") and name.endswith("__"))  # nothing was there
            names = self.names - {(cls, name)} if is_original else self.names | {(cls, name)}
            self.names = self._sets.setdefault(names, names)

    def original(self, cls: type, name: str, default: Any = None) -> Any:
        """What the library defines for attribute `name` of a tensor class, as stored; `default` if nothing."""
        for base in cls.__mro__:
            found = self._originals.get(base, vars(base)).get(name, _MISSING)
            if found is not _MISSING:
                return found
        return default

    def is_replaced(self, cls: type, name: str) -> bool:
        """Whether attribute `name` of tensors of this class is not the library's; special methods also when added."""
        return bool(self.names) and any((base, name) in self.names for base in cls.__mro__)


#: of the process
REPLACEMENTS = Replacements()


class TensorClass(type):
    """The class of tensor classes; see the module docstring."""

    def __setattr__(cls, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        REPLACEMENTS.note(cls, name)

    def __delattr__(cls, name: str) -> None:
        super().__delattr__(name)
        REPLACEMENTS.note(cls, name)
