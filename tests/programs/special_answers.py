"""What special methods may answer, and what the interpreter says of what they may not."""

from __future__ import annotations

from programs import program


def told(function):
    """The result of a call, or what it raises, as text."""
    try:
        return repr(function())
    except Exception as e:
        return f"{type(e).__name__}: {e}"


class Answers:
    """Every conversion gives the same."""

    def __init__(self, answer):
        self.answer = answer

    def give(self, *args):
        return self.answer

    __bool__ = __len__ = __str__ = __repr__ = __format__ = __hash__ = __iter__ = give
    __index__ = __int__ = __float__ = __complex__ = give


@program()
def answers_of_wrong_types(x):
    found = []
    for answer in (3, "text", 2.5, [], None, -1, b"b"):
        of = Answers(answer)
        found += [told(lambda of=of: bool(of)), told(lambda of=of: 1 if of else 2), told(lambda of=of: len(of))]
        found += [told(lambda of=of: str(of)), told(lambda of=of: f"{of}"), told(lambda of=of: hash(of))]
        found += [told(lambda of=of: list(of)), told(lambda of=of: [10, 20, 30, 40][of]), told(lambda of=of: int(of))]
    return x * 2, found


class Refuses:
    __contains__ = None
    __iter__ = None

    def __init__(self):
        self.made = True


class RefusesToIterate:
    __iter__ = None


class Initialised:
    def __init__(self):
        return 3


class Slotted:
    __slots__ = ("a",)


class Holder:
    class Inner:
        fixed = property(lambda self: 5)
        unread = property()


def keywords(**given):
    return given


@program()
def errors_of_operators_and_calls(x):
    def unpack():
        a, b = 3
        return a, b

    def unpack_more():
        a, *b = None
        return a, b

    return x * 2, [
        told(lambda: 1 in Refuses()),
        told(lambda: 1 in RefusesToIterate()),
        told(lambda: -Refuses()),
        told(Initialised),
        told(unpack),
        told(unpack_more),
        told(lambda: keywords(**{1: 2})),
        told(lambda: setattr(Slotted(), "b", 1)),
        told(lambda: setattr(Holder.Inner(), "fixed", 1)),
        told(lambda: delattr(Holder.Inner(), "fixed")),
        told(lambda: Holder.Inner().unread),
        told(lambda: super().anything),
    ]
