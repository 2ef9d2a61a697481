"""Abstract base classes whose instances are told by inheritance alone.

`isinstance` with an `abc.ABC` also asks the registries of the class and of all its subclasses, once for every new class
it is asked about. Nothing is registered with the classes here, `Op` has hundreds of subclasses, and capture meets a new
class with every program.
"""

from __future__ import annotations

from abc import ABCMeta


class AbstractMeta(ABCMeta):
    """Abstract methods as with `abc.ABCMeta`; `isinstance` and `issubclass` as with `type`."""

    __instancecheck__ = type.__instancecheck__
    __subclasscheck__ = type.__subclasscheck__


class Abstract(metaclass=AbstractMeta):
    """Base of classes with `@abc.abstractmethod`s."""

    __slots__ = ()
