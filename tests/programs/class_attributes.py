"""Data that classes hold, written while the program runs."""

from __future__ import annotations

from programs import program


class Registry:
    total = 0
    last = None
    names: tuple = ()

    @classmethod
    def note(cls, value):
        cls.total += 1
        cls.last = value
        return cls.total


class Named(Registry):
    names = ("a",)


@program()
def written_and_read(x):
    Registry.total = 0
    first = Registry.note(x * 2)
    second = Registry.note(x + 1)
    return first, second, Registry.total, Registry.last, getattr(Registry(), "total")  # noqa: B009 - getattr is what is tried


@program()
def seen_by_derived_classes(x):
    Registry.total, Named.names = 5, ("a",)
    Named.names += ("b",)

    class Local(Named):
        def counted(self):
            return super().total + self.total

    return Named.total, Named().total, Local().counted(), Named.names, Registry.names, x * Local.total


@program()
def new_attributes_of_a_class(x):
    Registry.made_up = 1
    y = x * Registry.made_up
    del Registry.made_up
    return y


class Replaced:
    def factor(self):
        return 2


def three(self):
    return 3


@program()
def methods_replaced(x):
    before = Replaced.factor
    Replaced.factor = three
    y = x * Replaced().factor()
    Replaced.factor = before
    return y, Replaced().factor()
